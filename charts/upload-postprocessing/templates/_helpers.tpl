{{- define "upp.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "upp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "upp.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "upp.selector" -}}
app.kubernetes.io/name: {{ include "upp.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "upp.labels" -}}
{{ include "upp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: upload-postprocessing
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* metadata of a namespaced object; a suffix of its name may be given: (list . "-metrics") */ -}}
{{- define "upp.metadata" -}}
{{- $ := index . 0 -}}
name: {{ include "upp.fullname" $ }}{{ if gt (len .) 1 }}{{ index . 1 }}{{ end }}
namespace: {{ $.Release.Namespace }}
labels:
  {{- include "upp.labels" $ | nindent 2 }}
{{- end }}

{{- define "upp.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "upp.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "upp.image" -}}
{{- with .Values.image -}}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "upp.sealingSecret" -}}
{{- .Values.sealingKey.existingSecret | default (printf "%s-sealing-key" (include "upp.fullname" .)) -}}
{{- end }}

{{- /* Every credential that is a file, in one projected volume: the files of `upp.environment`. */ -}}
{{- define "upp.credentials" -}}
{{- $nats := .Values.nats -}}
- secret:
    name: {{ include "upp.sealingSecret" . }}
    items: [{key: {{ .Values.sealingKey.key | quote }}, path: sealing.key}]
{{- with $nats.auth.creds }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items: [{key: {{ .key | quote }}, path: nats.creds}]
{{- end }}{{ end }}
{{- with $nats.auth.nkey }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items: [{key: {{ .key | quote }}, path: nats.nkey}]
{{- end }}{{ end }}
{{- with $nats.auth.token }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items: [{key: {{ .key | quote }}, path: nats.token}]
{{- end }}{{ end }}
{{- with $nats.tls.ca }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items: [{key: {{ .key | quote }}, path: nats-ca.crt}]
{{- end }}{{ end }}
{{- with $nats.tls.client }}{{ if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items: [{key: {{ .certKey | quote }}, path: nats-client.crt}, {key: {{ .keyKey | quote }}, path: nats-client.key}]
{{- end }}{{ end }}
{{- end }}
