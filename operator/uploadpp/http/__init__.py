"""What all HTTP clients of the operator and the plugin need."""
