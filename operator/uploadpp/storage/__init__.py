"""The storage's data gateway, as each process of ours asks it."""
