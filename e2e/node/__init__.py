"""One real node: kubelet, containerd and all that Pods need, in namespaces of its own."""
