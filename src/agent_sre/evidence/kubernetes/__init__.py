"""What the cluster's API server knows: objects in its own shape, events, container logs. Read, never written."""
