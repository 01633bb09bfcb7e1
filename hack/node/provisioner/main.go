// A dynamic provisioner that makes a directory on the node for every claim. It runs in the node's
// mount namespace, so that it needs no helper Pod and a volume is there within milliseconds.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

type directories struct{ root, node string }

func (d directories) Provision(_ context.Context, o controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	path := filepath.Join(d.root, o.PVName)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// MkdirAll is subject to the umask, and a Pod may run as any user.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	here := v1.NodeSelectorRequirement{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{d.node}}
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			VolumeMode:                    o.PVC.Spec.VolumeMode,
			MountOptions:                  o.StorageClass.MountOptions,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: o.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			// "local" and not "hostPath": the kubelet applies a Pod's fsGroup to it.
			PersistentVolumeSource: v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{
				NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{here}}},
			}},
		},
	}, controller.ProvisioningFinished, nil
}

func (d directories) Delete(_ context.Context, pv *v1.PersistentVolume) error {
	if pv.Spec.Local == nil || filepath.Dir(pv.Spec.Local.Path) != filepath.Clean(d.root) {
		return fmt.Errorf("volume %s is not a directory in %s", pv.Name, d.root)
	}
	return os.RemoveAll(pv.Spec.Local.Path)
}

func main() {
	name := flag.String("name", "tektite.dev/directory", "the StorageClass's provisioner")
	kubeconfig := flag.String("kubeconfig", "", "path of a kubeconfig")
	root := flag.String("root", "", "directory that holds the volumes")
	node := flag.String("node", "node1", "value of the node's kubernetes.io/hostname label")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	ctx := klog.NewContext(context.Background(), klog.Background())
	controller.NewProvisionController(ctx, client, *name, directories{*root, *node}, controller.LeaderElection(false)).Run(ctx)
}
