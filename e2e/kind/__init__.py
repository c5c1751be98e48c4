"""kind without a registry: a docker daemon and a node image of our own, in namespaces that end with us."""
