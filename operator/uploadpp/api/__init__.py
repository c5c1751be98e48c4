"""The Kubernetes face of an upload: models of the resource, its CRD, and the codec.

`codec` is what the running operator uses; the pydantic models are only read by the
generators of the CRD and of docs/api.md, and by tests.
"""

GROUP = "uploadpp.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "UploadPostprocessing"
PLURAL = "uploadpostprocessings"
SINGULAR = "uploadpostprocessing"
SHORT_NAME = "upp"
CATEGORY = "ocis"
CRD_NAME = f"{PLURAL}.{GROUP}"

POLICY_KIND = "PostprocessingPolicy"
POLICY_PLURAL = "postprocessingpolicies"
POLICY_SINGULAR = "postprocessingpolicy"
POLICY_SHORT_NAME = "upppol"
POLICY_CRD_NAME = f"{POLICY_PLURAL}.{GROUP}"
