{{/* What names begin with. Beside Tekton, nothing may be called as Tekton calls it. */}}
{{- define "tektite.prefix" -}}
{{ ternary "tektite" "tekton-pipelines" .Values.besideTekton }}
{{- end }}

{{/* What names of ConfigMaps begin with. */}}
{{- define "tektite.configPrefix" -}}
{{ ternary "tektite-" "" .Values.besideTekton }}
{{- end }}

{{/* The mutating webhook configuration; the others have `validation.` and `config.` before it. */}}
{{- define "tektite.admission" -}}
{{ ternary "webhook.tektite.dev" "webhook.pipeline.tekton.dev" .Values.besideTekton }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "tektite.labels" -}}
app.kubernetes.io/name: tektite
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ include "tektite.prefix" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The same for an object of one component. Arguments: root, component (controller, webhook). */}}
{{- define "tektite.componentLabels" -}}
{{ include "tektite.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* What a Deployment selects its Pods by. Arguments: root, component (controller, webhook). */}}
{{- define "tektite.selector" -}}
app.kubernetes.io/name: {{ include "tektite.prefix" .root }}-{{ .component }}
app.kubernetes.io/part-of: {{ include "tektite.prefix" .root }}
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
{{- $placement := dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" -}}
{{- with index $ $key -}}{{- $_ := set $placement $key . -}}{{- end -}}
{{- end -}}
{{- with $placement -}}{{ toYaml . }}{{- end -}}
{{- end }}

{{/* Labels and annotations of a component's Pods. Arguments: root, component (controller, webhook). */}}
{{- define "tektite.podMetadata" -}}
{{- $values := index .root.Values .component -}}
labels:
  {{- include "tektite.selector" . | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tektite.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A value of a ConfigMap, which is always text: a number without an exponent, a structure as YAML. */}}
{{- define "tektite.setting" -}}
{{- if or (kindIs "map" .) (kindIs "slice" .) -}}
{{ toYaml . | quote }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . | quote }}
{{- else if contains "\n" (toString .) -}}
|2
{{ toString . | trimSuffix "\n" | indent 4 }}
{{- else -}}
{{ toString . | quote }}
{{- end -}}
{{- end }}

{{/* The Secret with the webhook's certificate. Another one where cert-manager keeps it: its type is
another, too, and that cannot be changed. */}}
{{- define "tektite.webhookSecret" -}}
{{ include "tektite.configPrefix" . }}{{ ternary "webhook-certs-cert-manager" "webhook-certs" .Values.webhook.certManager.enabled }}
{{- end }}

{{/* Has cert-manager write the webhook's CA into an object. */}}
{{- define "tektite.injectCA" -}}
{{- if .Values.webhook.certManager.enabled -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "tektite.prefix" . }}-webhook
{{- end -}}
{{- end }}
