"""`kubectl pp ui`: a read-only page on loopback; the model is here in Python, the page in page/."""
