{{- /* Values to the operator's variables; a test reads them back with the operator's own code. */ -}}
{{- define "upp.variables" -}}
{{- $v := .Values -}}
{{- $own := dict -}}
{{- $names := list -}}
{{- range $v.steps -}}
{{- $names = append $names .name -}}
{{- with omit . "name" -}}{{- $_ := set $own (last $names) . -}}{{- end -}}
{{- end -}}
POSTPROCESSING_STEPS: {{ join "," $names | quote }}
POSTPROCESSING_DELAY: {{ printf "%ds" (int64 $v.delaySeconds) }}
POSTPROCESSING_MAX_RETRIES: {{ $v.retryPolicy.maxRetries | quote }}
POSTPROCESSING_RETRY_BACKOFF_DURATION: {{ printf "%ds" (int64 $v.retryPolicy.backoffSeconds) }}
UPLOADPP_MAX_BACKOFF: {{ printf "%ds" (int64 $v.retryPolicy.maxBackoffSeconds) }}
UPLOADPP_ON_EXHAUSTED: {{ $v.retryPolicy.onExhausted }}
UPLOADPP_STALL_AFTER: {{ printf "%ds" (int64 $v.stallAfterSeconds) }}
UPLOADPP_STEP_SETTINGS: {{ toJson $own | quote }}
UPLOADPP_FAIR_SHARE: {{ $v.fairShare.by }}
UPLOADPP_SHARE_WEIGHTS: {{ toJson $v.fairShare.weights | quote }}
{{- with $v.fairShare.priorityClasses }}
UPLOADPP_PRIORITY_CLASSES: {{ toJson . | quote }}
{{- end }}
UPLOADPP_SMALL_FIRST: {{ int64 $v.fairShare.smallFirst | quote }}
UPLOADPP_READY_AFTER: {{ printf "%ds" (int64 $v.release.readyAfterSeconds) }}
UPLOADPP_UNANSWERED_AFTER: {{ printf "%ds" (int64 $v.release.unansweredAfterSeconds) }}
UPLOADPP_ORDER_TIMEOUT: {{ printf "%ds" (int64 $v.release.orderTimeoutSeconds) }}
{{- if $v.policies.enabled }}
UPLOADPP_POLICIES: enabled
{{- if $v.policies.webhook.enabled }}
UPLOADPP_WEBHOOK_ADDR: ":9443"
UPLOADPP_WEBHOOK_CERT_FILE: /etc/uploadpp/webhook.crt
UPLOADPP_WEBHOOK_KEY_FILE: /etc/uploadpp/webhook.key
{{- end }}
{{- end }}
UPLOADPP_STORAGE_CHECK: {{ $v.storageCheck.mode | quote }}
UPLOADPP_STORAGE_CHECK_INTERVAL: {{ printf "%ds" (int64 $v.storageCheck.intervalSeconds) }}
{{- with $v.storageCheck.from }}
UPLOADPP_STORAGE_FROM: {{ join "," . | quote }}
{{- end }}
UPLOADPP_STORAGE_INSECURE: {{ $v.storageCheck.insecureSkipVerify | quote }}
{{- if $v.storageCheck.ca.existingSecret }}
UPLOADPP_STORAGE_CA_FILE: /etc/uploadpp/storage-ca.crt
{{- end }}
UPLOADPP_RELEASE_BACKOFF: {{ printf "%ds" (int64 $v.release.backoffSeconds) }}
UPLOADPP_TTL_COMPLETED: {{ printf "%ds" (int64 $v.ttlSeconds.completed) }}
UPLOADPP_TTL_FAILED: {{ printf "%ds" (int64 $v.ttlSeconds.failed) }}
UPLOADPP_MAX_ENDED: {{ int64 $v.maxEnded | quote }}
UPLOADPP_MAX_RECORDED: {{ int64 $v.maxRecorded | quote }}
UPLOADPP_SHOW: {{ join "," $v.show | quote }}
POSTPROCESSING_EVENTS_ENDPOINT: {{ join "," $v.nats.endpoints | quote }}
UPLOADPP_NATS_INBOX_PREFIX: {{ $v.nats.inboxPrefix | quote }}
UPLOADPP_START_FROM: {{ $v.nats.startFrom }}
UPLOADPP_ON_LEGACY_SERVICE: {{ $v.legacyService.onReturn }}
UPLOADPP_LEGACY_CONSUMER: {{ $v.legacyService.consumer }}
UPLOADPP_STREAM_MAX_AGE: {{ printf "%ds" (int64 $v.nats.streamMaxAgeSeconds) }}
UPLOADPP_LEASE_DURATION: {{ printf "%ds" (int64 $v.leaseDurationSeconds) }}
UPLOADPP_SHARDS: {{ $v.shards | quote }}
UPLOADPP_SEALING_KEY_FILE: /etc/uploadpp/sealing.key
UPLOADPP_WRITERS: {{ $v.writers | quote }}
POSTPROCESSING_DEBUG_ADDR: ":9255"
POSTPROCESSING_LOG_LEVEL: {{ $v.log.level }}
UPLOADPP_LOG_FORMAT: {{ $v.log.format }}
{{- with $v.tracing.endpoint }}
POSTPROCESSING_TRACING_ENABLED: "true"
POSTPROCESSING_TRACING_ENDPOINT: {{ . | quote }}
OTEL_TRACES_SAMPLER: parentbased_traceidratio
OTEL_TRACES_SAMPLER_ARG: {{ $v.tracing.sampleRatio | quote }}
{{- end }}
{{- if $v.nats.auth.creds.existingSecret }}
UPLOADPP_NATS_CREDS_FILE: /etc/uploadpp/nats.creds
{{- end }}
{{- if $v.nats.auth.nkey.existingSecret }}
UPLOADPP_NATS_NKEY_FILE: /etc/uploadpp/nats.nkey
{{- end }}
{{- if $v.nats.auth.token.existingSecret }}
UPLOADPP_NATS_TOKEN_FILE: /etc/uploadpp/nats.token
{{- end }}
{{- if $v.nats.tls.enabled }}
POSTPROCESSING_EVENTS_ENABLE_TLS: "true"
POSTPROCESSING_EVENTS_TLS_INSECURE: {{ $v.nats.tls.insecureSkipVerify | quote }}
UPLOADPP_NATS_TLS_HANDSHAKE_FIRST: {{ $v.nats.tls.handshakeFirst | quote }}
{{- if $v.nats.tls.ca.existingSecret }}
POSTPROCESSING_EVENTS_TLS_ROOT_CA_CERTIFICATE: /etc/uploadpp/nats-ca.crt
{{- end }}
{{- if $v.nats.tls.client.existingSecret }}
UPLOADPP_NATS_TLS_CERT_FILE: /etc/uploadpp/nats-client.crt
UPLOADPP_NATS_TLS_KEY_FILE: /etc/uploadpp/nats-client.key
{{- end }}
{{- end }}
{{- end }}

{{- define "upp.secretVariables" -}}
{{- with .Values.nats.auth.userPassword }}{{ if .existingSecret }}
- name: POSTPROCESSING_EVENTS_AUTH_USERNAME
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .usernameKey | quote }}}}
- name: POSTPROCESSING_EVENTS_AUTH_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .passwordKey | quote }}}}
{{- end }}{{ end }}
{{- with .Values.metrics }}{{ if .existingSecret }}
- name: POSTPROCESSING_DEBUG_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .key | quote }}}}
{{- end }}{{ end }}
{{- with .Values.tracing.headers }}{{ if .existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .key | quote }}}}
{{- end }}{{ end }}
{{- end }}

{{- /* (list . WITHOUT): all variables but for those */ -}}
{{- /* A value of a variable, such that Kubernetes leaves it as it is: of $$ it would make $, and of $(NAME) a value. */ -}}
{{- define "upp.literal" -}}
{{- toString . | replace "$" "$$" -}}
{{- end }}

{{- define "upp.environment" -}}
{{- $without := index . 1 -}}
{{- with index . 0 -}}
- name: UPLOADPP_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: UPLOADPP_POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- range $name, $value := include "upp.variables" . | fromYaml }}
{{- if not (has $name $without) }}
- name: {{ $name }}
  value: {{ include "upp.literal" $value | quote }}
{{- end }}
{{- end }}
{{- include "upp.secretVariables" . }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}
