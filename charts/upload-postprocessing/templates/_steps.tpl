{{- /* A map with another one laid over it, as Helm does with values: maps key by key, `null` removes. Not sprig's
mergeOverwrite, which passes over `false` and 0. */ -}}
{{- define "upp.overlay" -}}
{{- $found := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $found $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $found $key)) -}}
{{- $_ := set $found $key (include "upp.overlay" (list (get $found $key) $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $found $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Name to step service, each complete. */ -}}
{{- define "upp.stepServices" -}}
{{- $all := dict -}}
{{- if .Values.stepServices -}}
{{- $defaults := dict -}}
{{- range .Files.Get "files/defaults.json" | fromJsonArray -}}
{{- if eq (join "." .path) "stepServiceDefaults" }}{{ $defaults = .default }}{{ end -}}
{{- end -}}
{{- range $name := list "podLabels" "podAnnotations" }}{{ $_ := set $defaults $name (get $.Values $name | default dict) }}{{ end -}}
{{- $_ := set $defaults "podSecurityContext" (include "upp.overlay" (list (.Values.podSecurityContext | default dict) $defaults.podSecurityContext) | fromJson) -}}
{{- $defaults = include "upp.overlay" (list $defaults .Values.stepServiceDefaults) | fromJson -}}
{{- range $name, $own := .Values.stepServices -}}
{{- if not (kindIs "invalid" $own) -}}
{{- $service := include "upp.overlay" (list $defaults $own) | fromJson -}}
{{- $_ := set $service "step" ($service.step | default $name) -}}
{{- $_ := set $service "sidecar" (eq (dig "virusscan" "clamd" "" $service) "sidecar") -}}
{{- $_ := set $service "port" (int (dig "program" "port" 9256 $service)) -}}
{{- include "upp.dropNulls" $service -}}
{{- $_ := set $all $name $service -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end }}

{{- /* (list . NAME); without a name the labels of all step services. None of the operator's selectors matches them. */ -}}
{{- define "upp.stepSelector" -}}
{{- with index . 0 -}}
app.kubernetes.io/name: {{ printf "%s-step" (include "upp.name" . | trunc 58 | trimSuffix "-") | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: step
{{- end }}
{{- with index . 1 }}
uploadpp.io/step: {{ . | quote }}
{{- end }}
{{- end }}

{{- /* (list . SERVICE): the ways to log in at NATS, with those of `nats.auth` left out if the service has its own. */ -}}
{{- define "upp.stepAuth" -}}
{{- $auth := (index . 0).Values.nats.auth -}}
{{- $own := (index . 1).auth -}}
{{- if $own -}}
{{- $none := dict -}}
{{- range $way, $keys := $auth }}{{ $_ := set $none $way (set (omit $keys "existingSecret") "existingSecret" "") }}{{ end -}}
{{- $auth = include "upp.overlay" (list $none $own) | fromJson -}}
{{- end -}}
{{- toJson $auth -}}
{{- end }}

{{- /* A size as it is written, or its bytes: floats of a million and more would be printed with an exponent. */ -}}
{{- define "upp.size" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ int64 . }}{{ end -}}
{{- end }}

{{- /* (list . SERVICE): its variables. The operator's settings that mean the same for steps are taken from there. */ -}}
{{- define "upp.stepVariables" -}}
{{- $ := index . 0 -}}
{{- $service := index . 1 -}}
{{- $shared := list "POSTPROCESSING_EVENTS_ENDPOINT" "POSTPROCESSING_EVENTS_ENABLE_TLS" "POSTPROCESSING_EVENTS_TLS_INSECURE" "POSTPROCESSING_EVENTS_TLS_ROOT_CA_CERTIFICATE" "UPLOADPP_NATS_TLS_CERT_FILE" "UPLOADPP_NATS_TLS_KEY_FILE" "UPLOADPP_NATS_TLS_HANDSHAKE_FIRST" "UPLOADPP_NATS_INBOX_PREFIX" "UPLOADPP_NATS_CREDS_FILE" "UPLOADPP_NATS_NKEY_FILE" "UPLOADPP_NATS_TOKEN_FILE" "UPLOADPP_STREAM_MAX_AGE" "POSTPROCESSING_LOG_LEVEL" "UPLOADPP_LOG_FORMAT" "POSTPROCESSING_TRACING_ENABLED" "POSTPROCESSING_TRACING_ENDPOINT" "OTEL_TRACES_SAMPLER" "OTEL_TRACES_SAMPLER_ARG" -}}
{{- $operators := include "upp.variables" $ | fromYaml -}}
{{- range $shared }}{{ if hasKey $operators . }}
{{ . }}: {{ get $operators . | quote }}
{{- end }}{{ end }}
UPLOADPP_STEP_NAME: {{ $service.step | quote }}
UPLOADPP_STEP_CONCURRENCY: {{ int64 $service.concurrency | quote }}
UPLOADPP_STEP_TIMEOUT: {{ printf "%ds" (int64 $service.timeoutSeconds) }}
UPLOADPP_STEP_DRAIN: {{ printf "%ds" (int64 $service.drainSeconds) }}
UPLOADPP_STEP_START_WITH: {{ $service.startWith | quote }}
{{- with $service.maxFileSize }}
UPLOADPP_STEP_MAX_SIZE: {{ include "upp.size" . | quote }}
{{- end }}
{{- if $service.port }}
UPLOADPP_STEP_DEBUG_ADDR: {{ printf ":%d" (int $service.port) | quote }}
{{- end }}
{{- with $.Values.storageCheck }}
{{- with .from }}
UPLOADPP_STEP_DOWNLOAD_FROM: {{ join "," . | quote }}
{{- end }}
UPLOADPP_STEP_DOWNLOAD_INSECURE: {{ .insecureSkipVerify | quote }}
{{- if .ca.existingSecret }}
UPLOADPP_STEP_DOWNLOAD_CA_FILE: /etc/uploadpp/storage-ca.crt
{{- end }}
{{- end }}
{{- with $service.virusscan }}
UPLOADPP_STEP_CLAMD: {{ $service.sidecar | ternary "unix:/run/clamd/clamd.sock" .clamd | quote }}
{{- with .maxScanSize | default ($service.sidecar | ternary (printf "%dMi" (int $service.clamd.maxFileMiB)) "") }}
UPLOADPP_STEP_MAX_SCAN_SIZE: {{ include "upp.size" . | quote }}
{{- end }}
{{- range $what, $outcome := pick . "infected" "suspicious" "oversize" "encrypted" "unscannable" }}
UPLOADPP_STEP_{{ upper $what }}: {{ $outcome }}
{{- end }}
{{- end }}
{{- if $service.policies }}
UPLOADPP_STEP_RULES_FILE: /etc/uploadpp/rules.yaml
{{- end }}
{{- with $service.command }}
UPLOADPP_STEP_EXEC: {{ .exec | quote }}
{{- with .exit }}
UPLOADPP_STEP_EXIT: {{ $pairs := list }}{{ range $status, $outcome := . }}{{ $pairs = append $pairs (printf "%s=%s" $status $outcome) }}{{ end }}{{ join "," $pairs | quote }}
{{- end }}
{{- with .exitUnscanned }}
UPLOADPP_STEP_EXIT_UNSCANNED: {{ join "," . | quote }}
{{- end }}
{{- with .passEnv }}
UPLOADPP_STEP_PASS_ENV: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* (list . SERVICE): what its containers read, as the data of its ConfigMap. */ -}}
{{- define "upp.stepFiles" -}}
{{- $service := index . 1 -}}
{{- $files := dict -}}
{{- with $service.policies -}}
{{- $_ := set $files "rules.yaml" (toYaml (dict "rules" (.rules | default list) "default" (.default | default "continue"))) -}}
{{- end -}}
{{- if $service.sidecar -}}
{{- $_ := set $files "clamd.conf" (include "upp.clamdConf" $service) -}}
{{- if and $service.clamd.signatures.update (not $service.clamd.signatures.existingClaim) -}}
{{- $_ := set $files "freshclam.conf" (include "upp.freshclamConf" $service) -}}
{{- end -}}
{{- end -}}
{{- toJson $files -}}
{{- end }}

{{- /* `true` for what `clamd.settings` may set in place of the chart: of an option that comes twice, clamd takes the first. */ -}}
{{- define "upp.clamdOwn" -}}
{{- has . (list "MaxScanSize" "MaxScanTime" "ConcurrentDatabaseReload") | ternary "true" "" -}}
{{- end }}

{{- define "upp.clamdConf" -}}
{{- $size := int .clamd.maxFileMiB -}}
{{- $own := dict -}}
{{- range .clamd.settings }}{{ $_ := set $own (splitList " " . | first) true }}{{ end -}}
LocalSocket /run/clamd/clamd.sock
FixStaleSocket yes
DatabaseDirectory /var/lib/clamav
TemporaryDirectory /tmp
Foreground yes
StreamMaxLength {{ $size }}M
MaxFileSize {{ $size }}M
{{- if not $own.MaxScanSize }}
# What an archive holds counts as well.
MaxScanSize {{ min (mul 4 $size) 4000 }}M
{{- end }}
{{- if not $own.MaxScanTime }}
MaxScanTime 120000
{{- end }}
# Without these clamd says OK to what it has not looked at.
AlertExceedsMax yes
AlertEncrypted yes
# One for each upload that the step works on at once.
MaxThreads {{ int .concurrency }}
ReadTimeout {{ int .timeoutSeconds }}
{{- if not $own.ConcurrentDatabaseReload }}
# Otherwise all signatures are in memory twice while they are renewed.
ConcurrentDatabaseReload no
{{- end }}
{{- range .clamd.settings }}
{{ . }}
{{- end }}
{{ end }}

{{- define "upp.freshclamConf" -}}
DatabaseDirectory /var/lib/clamav
DatabaseMirror {{ .clamd.signatures.mirror }}
NotifyClamd /etc/clamd/clamd.conf
Checks 12
Foreground yes
{{ end }}

{{- /* Steps and the services of this release, compared: what is said after the install. */ -}}
{{- define "upp.stepNotes" -}}
{{- $services := include "upp.stepServices" . | fromJson -}}
{{- $served := dict -}}
{{- range $name, $service := $services }}{{ $_ := set $served $service.step $name }}{{ end -}}
{{- $configured := dict -}}
{{- range .Values.steps }}{{ $_ := set $configured .name . }}{{ end -}}
{{- range $step := .Values.steps }}
{{- if hasKey $served .name }}
{{- $own := get $services (get $served .name) }}
{{- if and .timeoutSeconds (le (int64 .timeoutSeconds) (int64 $own.timeoutSeconds)) }}
* {{ .name }}: the operator waits {{ .timeoutSeconds }} s for an answer, and its service works up to {{ int64 $own.timeoutSeconds }} s on one upload. Let
  timeoutSeconds of the step be more than stepServices.{{ get $served .name }}.timeoutSeconds.
{{- end }}
{{- $stall := int64 (.stallAfterSeconds | default $.Values.stallAfterSeconds) }}
{{- if le $stall (int64 $own.timeoutSeconds) }}
* {{ .name }}: an upload counts as stalled after {{ $stall }} s, and its service works up to {{ int64 $own.timeoutSeconds }} s on one upload. Let
  stallAfterSeconds be more than stepServices.{{ get $served .name }}.timeoutSeconds.
{{- end }}
{{- else if not (or (eq .name "delay") (has .name ($.Values.externalSteps | default list))) }}
* NOBODY IN THIS RELEASE SERVES {{ .name }}. Its uploads wait until a service listens for it on this NATS
{{- if eq .name "virusscan" }}: antivirus of ocis
  or OpenCloud, or stepServices.virusscan
{{- else if eq .name "policies" }}: policies of ocis
  or OpenCloud, or stepServices.policies
{{- end }}.
  If one does, list the step in externalSteps; if none does, add it to stepServices or take it out of steps.
{{- end }}
{{- end }}
{{- range $step, $name := $served }}
{{- if not (hasKey $configured $step) }}
* stepServices.{{ $name }} serves {{ $step }}, which is not in steps: no upload comes to it. Add it to steps.
{{- end }}
{{- end }}
{{- if and $services (not .Values.storageCheck.from) }}
* storageCheck.from is empty: step services download from any address that an event on the stream names. Set it to the
  beginning of the storage's URLs.
{{- end }}
{{- if .Values.steps }}
While it runs, the log, the metric uploadpp_step_listeners and `kubectl pp doctor` name a step that has no service.
{{- end }}
{{- end }}
