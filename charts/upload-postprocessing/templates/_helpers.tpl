{{- /* Fills in what is missing: `helm upgrade --reuse-values` knows neither the values that are newer than the installed
release, nor their defaults, and `null` removes a group. Each template begins with it. Takes out `null`: Helm does that
only where the chart has a default. Of step services it has a meaning until the defaults are under them, objects of others
are passed on as they are, and `global` belongs to all charts. */ -}}
{{- define "upp.defaults" -}}
{{- range .Files.Get "files/defaults.json" | fromJsonArray -}}
{{- $group := $.Values -}}
{{- range initial .path }}{{ $group = get $group . }}{{ end -}}
{{- $name := last .path -}}
{{- if kindIs "invalid" (index $group $name) }}{{ $_ := set $group $name .default }}{{ end -}}
{{- end -}}
{{- /* YAML 1.1, which Helm reads, takes off for false where it has no quotation marks. */ -}}
{{- if eq (toString .Values.storageCheck.mode) "false" }}{{ $_ := set .Values.storageCheck "mode" "off" }}{{ end -}}
{{- include "upp.dropNulls" (omit .Values "stepServices" "stepServiceDefaults" "extraObjects" "global") -}}
{{- end }}

{{- /* Takes `null` out of maps, at every depth and in place: the API server refuses it as a quantity, and reads it as "" in
labels and selectors. */ -}}
{{- define "upp.dropNulls" -}}
{{- if kindIs "map" . -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $ $key }}{{ else }}{{ include "upp.dropNulls" $value }}{{ end -}}
{{- end -}}
{{- else if kindIs "slice" . -}}
{{- range . }}{{ include "upp.dropNulls" . }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "upp.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "upp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- /* The alias of a parent chart is the name then, and many are written as uploadPostprocessing or upload_pp. */ -}}
{{- $name := regexReplaceAll "([a-z0-9])([A-Z])" (include "upp.name" .) "${1}-${2}" | lower | replace "_" "-" -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "upp.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end }}

{{- /* `true` where the cluster gives each project users and groups of its own. */ -}}
{{- define "upp.openshift" -}}
{{- $mode := toString .Values.openshift.enabled -}}
{{- if eq $mode "auto" }}{{ .Capabilities.APIVersions.Has "security.openshift.io/v1" | ternary "true" "" }}{{ else }}{{ eq $mode "true" | ternary "true" "" }}{{ end -}}
{{- end }}

{{- define "upp.selector" -}}
app.kubernetes.io/name: {{ include "upp.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* `true` where this render sees the cluster. Without one `lookup` finds nothing. Every cluster has kube-system; somebody
who may not look at that finds the namespace's own account. */ -}}
{{- define "upp.seesCluster" -}}
{{- if or (lookup "v1" "ServiceAccount" (include "upp.namespace" .) "default") (lookup "v1" "Namespace" "" "kube-system") }}true{{ end -}}
{{- end }}

{{- /* A text as a label takes it: versions of builds have a plus, an alias or a branch may make them long. */ -}}
{{- define "upp.labelValue" -}}
{{- . | replace "+" "_" | trunc 63 | trimAll "-_." -}}
{{- end }}

{{- /* Labels that objects find each other by, or that Helm itself reads: no value changes them. */ -}}
{{- define "upp.fixedLabels" -}}
{{ include "upp.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ include "upp.labelValue" (printf "%s-%s" .Chart.Name .Chart.Version) | quote }}
{{- end }}

{{- /* Labels of one object, as one map, so that no key comes twice: (list . FIXED OWN). The first that has a key
counts: what is fixed, the values of this object, commonLabels, our defaults. */ -}}
{{- define "upp.labels" -}}
{{- $ := index . 0 -}}
{{- $fixed := merge (dict) (index . 1) (include "upp.fixedLabels" $ | fromYaml) -}}
{{- $defaults := dict "app.kubernetes.io/version" (include "upp.labelValue" $.Chart.AppVersion) "app.kubernetes.io/part-of" "upload-postprocessing" -}}
{{- toYaml (merge $fixed (index . 2 | default dict) ($.Values.commonLabels | default dict) $defaults) -}}
{{- end }}

{{- /* metadata of a namespaced object: (list . SUFFIX FIXED OWN); of the labels see upp.labels */ -}}
{{- define "upp.metadata" -}}
{{- $ := index . 0 -}}
name: {{ printf "%s%s" (include "upp.fullname" $) (index . 1) | quote }}
namespace: {{ include "upp.namespace" $ | quote }}
labels:
  {{- include "upp.labels" (list $ (index . 2) (index . 3)) | nindent 2 }}
{{- end }}

{{- /* A release may be called a.b or 1a, a Service may not. It has at most 63 letters, and keeps the last word. */ -}}
{{- define "upp.serviceName" -}}
{{- $name := . | replace "." "-" -}}
{{- $name = ternary (printf "upp-%s" $name) $name (regexMatch "^[0-9]" $name) -}}
{{- $last := regexFind "-[a-z]+$" $name -}}
{{- printf "%s%s" (trimSuffix $last $name | trunc (int (sub 63 (len $last))) | trimSuffix "-") $last -}}
{{- end }}

{{- define "upp.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "upp.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- /* (list . IMAGE). A parent chart's global.imageRegistry takes the place of the registry, if the repository names one. */ -}}
{{- define "upp.imageOf" -}}
{{- $ := index . 0 -}}
{{- $given := ($.Values.global | default dict).imageRegistry | default "" -}}
{{- $registry := toString $given | trimSuffix "/" -}}
{{- if not (and (kindIs "string" $given) (regexMatch "^(([A-Za-z0-9][A-Za-z0-9.-]*|\\[[0-9a-fA-F:]+\\])(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*)?$" $registry)) }}{{ fail (printf "global.imageRegistry: %s is not a registry such as registry.example.org:5000 or ghcr.io/mirror, without https://" $registry) }}{{ end -}}
{{- with index . 1 -}}
{{- if $registry }}{{ printf "%s/%s" $registry (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" .repository "") }}{{ else }}{{ .repository }}{{ end -}}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "upp.image" -}}
{{- include "upp.imageOf" (list . .Values.image) -}}
{{- end }}

{{- define "upp.portName" -}}
{{- .Values.metrics.portName -}}
{{- end }}

{{- define "upp.sealingSecret" -}}
{{- .Values.sealingKey.existingSecret | default (printf "%s-sealing-key" (include "upp.fullname" .)) -}}
{{- end }}

{{- /* The operator's alone: the Pod of `helm test` seals nothing. */ -}}
{{- define "upp.sealingSource" -}}
- secret:
    name: {{ include "upp.sealingSecret" . | quote }}
    items: [{key: {{ .Values.sealingKey.key | quote }}, path: sealing.key}]
{{- end }}

{{- /* `true` where the operator serves the webhook for policies. */ -}}
{{- define "upp.webhook" -}}
{{- if and .Values.policies.enabled .Values.policies.webhook.enabled }}true{{ end -}}
{{- end }}

{{- define "upp.webhookSecret" -}}
{{- .Values.policies.webhook.certificate.existingSecret | default (printf "%s-webhook" (include "upp.fullname" .)) -}}
{{- end }}

{{- /* What only the operator's own Pods read: the key, and the certificate of the webhook. */ -}}
{{- define "upp.operatorSources" -}}
{{ include "upp.sealingSource" . }}
{{- if include "upp.webhook" . }}
- secret:
    name: {{ include "upp.webhookSecret" . | quote }}
    items: [{key: tls.crt, path: webhook.crt}, {key: tls.key, path: webhook.key}]
{{- end }}
{{- end }}

{{- /* The other credentials that are files, in the same projected volume: the files of `upp.environment`. */ -}}
{{- define "upp.credentials" -}}
{{- $nats := .Values.nats -}}
{{- with $nats.auth.creds }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret | quote }}
    items: [{key: {{ .key | quote }}, path: nats.creds}]
{{- end }}{{ end }}
{{- with $nats.auth.nkey }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret | quote }}
    items: [{key: {{ .key | quote }}, path: nats.nkey}]
{{- end }}{{ end }}
{{- with $nats.auth.token }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret | quote }}
    items: [{key: {{ .key | quote }}, path: nats.token}]
{{- end }}{{ end }}
{{- with $nats.tls.ca }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret | quote }}
    items: [{key: {{ .key | quote }}, path: nats-ca.crt}]
{{- end }}{{ end }}
{{- with $nats.tls.client }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret | quote }}
    items: [{key: {{ .certKey | quote }}, path: nats-client.crt}, {key: {{ .keyKey | quote }}, path: nats-client.key}]
{{- end }}{{ end }}
{{- with .Values.storageCheck.ca }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret | quote }}
    items: [{key: {{ .key | quote }}, path: storage-ca.crt}]
{{- end }}{{ end }}
{{- end }}
