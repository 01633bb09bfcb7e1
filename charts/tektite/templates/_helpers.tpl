{{/* Labels of every object. `tektite.dev/component` is added where one matters. */}}
{{- define "tektite.labels" -}}
app.kubernetes.io/name: tektite
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tekton-pipelines
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What a Deployment selects its Pods by. Argument: the component. */}}
{{- define "tektite.selector" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/part-of: tekton-pipelines
{{- end }}

{{/* A full image reference. Arguments: root, and the key below .Values.image. */}}
{{- define "tektite.image" -}}
{{- $image := index .root.Values.image .name -}}
{{- $name := $image.repository -}}
{{- with .root.Values.image.registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" .) $name -}}{{- end -}}
{{- if $image.digest -}}
{{ $name }}@{{ $image.digest }}
{{- else -}}
{{ $name }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* What the restricted Pod security level asks of a container. */}}
{{- define "tektite.restricted" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Where a component's Pods may run. Argument: its values. */}}
{{- define "tektite.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Labels and annotations of a component's Pods. Arguments: name, values. */}}
{{- define "tektite.podMetadata" -}}
labels:
  {{- include "tektite.selector" .name | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tektite.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The webhook's CA as the cluster has it: the webhook writes it, and an upgrade must not take it away. */}}
{{- define "tektite.caBundle" -}}
{{- $found := lookup "admissionregistration.k8s.io/v1" .kind "" .name -}}
{{- with $found.webhooks -}}
{{- with (first .).clientConfig.caBundle }}
caBundle: {{ . }}
{{- end -}}
{{- end -}}
{{- end }}
