"""Downloads from the storage's data gateway, for the operator and for steps."""
