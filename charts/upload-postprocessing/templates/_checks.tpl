{{- /* What the schema cannot say. Each message names the value, and what to do. */ -}}
{{- define "upp.checks" -}}
{{- $v := .Values -}}
{{- $seen := dict -}}
{{- range $v.steps -}}
{{- if hasKey $seen .name }}{{ fail (printf "steps: %q is listed twice; each step runs once" .name) }}{{ end -}}
{{- $_ := set $seen .name true -}}
{{- $first := hasKey . "backoffSeconds" | ternary .backoffSeconds $v.retryPolicy.backoffSeconds -}}
{{- $longest := hasKey . "maxBackoffSeconds" | ternary .maxBackoffSeconds $v.retryPolicy.maxBackoffSeconds -}}
{{- if gt (int64 $first) (int64 $longest) }}{{ fail (printf "steps: backoffSeconds of %q is longer than its maxBackoffSeconds" .name) }}{{ end -}}
{{- end -}}
{{- if gt (int64 $v.retryPolicy.backoffSeconds) (int64 $v.retryPolicy.maxBackoffSeconds) -}}
{{- fail "retryPolicy.backoffSeconds is longer than retryPolicy.maxBackoffSeconds" -}}
{{- end -}}
{{- if eq (toString $v.enabled) "false" }}{{ fail "enabled: false has an effect only where a parent chart names it as this chart's condition; to remove the operator uninstall the release" }}{{ end -}}
{{- if and (gt (int64 $v.delaySeconds) 0) (ge (len ($v.steps | default list)) 32) (not (hasKey $seen "delay")) }}{{ fail "steps: there are 32, the most there can be, and delaySeconds appends the step delay; remove one of them" }}{{ end -}}
{{- range $v.steps -}}
{{- if and .maxInFlight (eq .name "delay") }}{{ fail "steps: the step delay cannot have maxInFlight, because it has no service" }}{{ end -}}
{{- if and .breakerAfter (eq .name "delay") }}{{ fail "steps: the step delay cannot have breakerAfter, because it has no service" }}{{ end -}}
{{- if and .minInFlight (lt (int64 (.maxInFlight | default 0)) (int64 .minInFlight)) }}{{ fail (printf "steps: minInFlight of %q needs a maxInFlight of at least %d" .name (int64 .minInFlight)) }}{{ end -}}
{{- if and .maxInFlight (lt (int64 .maxInFlight) (int64 $v.shards)) }}{{ fail (printf "steps: maxInFlight of %q is divided among %d shards, so it must be at least %d" .name (int64 $v.shards) (int64 $v.shards)) }}{{ end -}}
{{- end -}}
{{- if and $v.fairShare.priorityClasses (not (hasKey $v.fairShare.priorityClasses "normal")) }}{{ fail "fairShare.priorityClasses: normal is missing, the class of most uploads; add it" }}{{ end -}}
{{- range $v.nats.endpoints }}{{ include "upp.checkPort" (list "nats.endpoints" .) }}{{ end -}}
{{- range $v.storageCheck.from -}}
{{- if regexMatch "^[a-z]+://[^/]*@" . }}{{ fail "storageCheck.from: a URL must not contain a login, which everybody who reads the Deployment would see; download URLs have none" }}{{ end -}}
{{- if regexMatch "(?i)^[a-z]+://[^/]*(/.*)?(//|%2f|%5c)" . }}{{ fail (printf "storageCheck.from: the path of %s can be read in more than one way; write it without empty parts and encoded slashes" .) }}{{ end -}}
{{- include "upp.checkPort" (list "storageCheck.from" (regexFind "^[a-z]+://[^/]*" .)) -}}
{{- end -}}
{{- include "upp.checkPort" (list "tracing.endpoint" (regexFind "^[a-z]+://[^/]*" ($v.tracing.endpoint | default ""))) -}}
{{- range $v.nats.endpoints -}}
{{- if contains "@" . }}{{ fail "nats.endpoints: an address must not contain a login, which everybody who reads the Deployment would see; use nats.auth" }}{{ end -}}
{{- end -}}
{{- if regexMatch "^[a-z]+://[^/]*@" ($v.tracing.endpoint | default "") }}{{ fail "tracing.endpoint: a URL must not contain a login, which everybody who reads the Deployment would see; use tracing.headers.existingSecret" }}{{ end -}}
{{- $logins := list -}}
{{- range $name, $each := $v.nats.auth }}{{ if $each.existingSecret }}{{ $logins = append $logins (printf "nats.auth.%s.existingSecret" $name) }}{{ end }}{{ end -}}
{{- if gt (len $logins) 1 }}{{ fail (printf "%s: NATS takes one way to log in; set only one" (join ", " $logins)) }}{{ end -}}
{{- with $v.nats.tls -}}
{{- if not .enabled -}}
{{- range $name := list "ca" "client" }}{{ if (get $v.nats.tls $name).existingSecret }}{{ fail (printf "nats.tls.%s.existingSecret has no effect without nats.tls.enabled" $name) }}{{ end }}{{ end -}}
{{- if .handshakeFirst }}{{ fail "nats.tls.handshakeFirst has no effect without nats.tls.enabled" }}{{ end -}}
{{- if .insecureSkipVerify }}{{ fail "nats.tls.insecureSkipVerify has no effect without nats.tls.enabled" }}{{ end -}}
{{- end -}}
{{- if and .insecureSkipVerify .ca.existingSecret }}{{ fail "nats.tls.insecureSkipVerify and nats.tls.ca.existingSecret contradict each other: an authority's certificate forces verification" }}{{ end -}}
{{- end -}}
{{- with $v.policies.webhook.certificate -}}
{{- if and .existingSecret .certManager.enabled }}{{ fail "policies.webhook.certificate.existingSecret and policies.webhook.certificate.certManager.enabled contradict each other; set only one" }}{{ end -}}
{{- if and .existingSecret (not .caBundle) }}{{ fail "policies.webhook.certificate.existingSecret: the API server needs its CA as well; set policies.webhook.certificate.caBundle" }}{{ end -}}
{{- if and .caBundle (not .existingSecret) }}{{ fail "policies.webhook.certificate.caBundle has no effect without policies.webhook.certificate.existingSecret" }}{{ end -}}
{{- if and .caBundle (not (regexMatch "-----BEGIN CERTIFICATE-----\\s" .caBundle)) }}{{ fail "policies.webhook.certificate.caBundle: it must be the certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----, not its base64" }}{{ end -}}
{{- end -}}
{{- if and $v.quota.enabled (lt (int64 $v.quota.uploads) (int64 $v.maxRecorded)) -}}
{{- fail "quota.uploads is less than maxRecorded: the API server would refuse uploads before the operator leaves them out; lower maxRecorded" -}}
{{- end -}}
{{- if and $v.adopt.enabled $v.handBack.enabled -}}
{{- fail "adopt.enabled and handBack.enabled contradict each other; set only one" -}}
{{- end -}}
{{- if and (include "upp.webhook" .) (eq $v.metrics.portName "webhook") }}{{ fail "metrics.portName: webhook is the name of the port of policies.webhook; choose another one" }}{{ end -}}
{{- if and $v.metrics.serviceMonitor.enabled $v.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled: every Pod would be scraped twice; set only one" -}}
{{- end -}}
{{- if regexMatch "^[a-z]+://[^/]*:4317(/|$)" ($v.tracing.endpoint | default "") }}{{ fail "tracing.endpoint: 4317 is usually the collector's port for gRPC, and 4318 the one for HTTP" }}{{ end -}}
{{- if and $v.tracing.headers.existingSecret (not $v.tracing.endpoint) }}{{ fail "tracing.headers.existingSecret has no effect without tracing.endpoint" }}{{ end -}}
{{- $set := merge (include "upp.variables" . | fromYaml) (dict "UPLOADPP_NAMESPACE" "" "UPLOADPP_POD_UID" "" "POSTPROCESSING_EVENTS_AUTH_USERNAME" "" "POSTPROCESSING_EVENTS_AUTH_PASSWORD" "" "POSTPROCESSING_DEBUG_TOKEN" "" "OTEL_EXPORTER_OTLP_HEADERS" "" "UPLOADPP_NATS_CREDS_FILE" "" "UPLOADPP_NATS_NKEY_FILE" "" "UPLOADPP_NATS_TOKEN_FILE" "") -}}
{{- include "upp.checkExtras" (dict "where" "" "values" $v "set" $set) -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) $v.rbac.create -}}
{{- fail "serviceAccount.create is false and serviceAccount.name empty: the operator's rights would go to the account `default`, that is to every Pod of the namespace; name an account" -}}
{{- end -}}
{{- include "upp.contextChecks" (list "" $v) -}}
{{- include "upp.stepChecks" . -}}
{{- end }}

{{- /* (list WHERE VALUES). Other charts have a switch there. Kubernetes has not: the contexts would stay in force. */ -}}
{{- define "upp.contextChecks" -}}
{{- $where := index . 0 -}}
{{- range $name := list "podSecurityContext" "securityContext" "containerSecurityContext" -}}
{{- if hasKey (get (index $ 1) $name | default dict) "enabled" }}{{ fail (printf "%s%s.enabled: Kubernetes has no such field; set single fields to null, or openshift.enabled to true where the cluster chooses users" $where $name) }}{{ end -}}
{{- end -}}
{{- end }}

{{- /* Variables, volumes and mounts that would come twice: `where` stands before the value's name, `set` are the chart's variables. */ -}}
{{- define "upp.checkExtras" -}}
{{- $where := .where -}}
{{- $set := .set -}}
{{- $v := .values -}}
{{- $named := dict -}}
{{- range $v.extraEnv -}}
{{- if hasKey $named .name }}{{ fail (printf "%sextraEnv: %s is listed twice" $where .name) }}{{ end -}}
{{- $_ := set $named .name true -}}
{{- if hasKey $set .name }}{{ fail (printf "%sextraEnv: %s is set by the chart; use the value it comes from" $where .name) }}{{ end -}}
{{- $stronger := regexReplaceAll "^(OCIS|OC)_" .name "POSTPROCESSING_" -}}
{{- if and (ne $stronger .name) (hasKey $set $stronger) }}{{ fail (printf "%sextraEnv: %s has no effect, because the chart sets %s" $where .name $stronger) }}{{ end -}}
{{- end -}}
{{- $taken := dict "credentials" "the chart" "tmp" "the chart" -}}
{{- if $v.sidecar }}{{ range list "clamd" "clamd-tmp" "clamd-configuration" "clamd-signatures" }}{{ $_ := set $taken . "the chart" }}{{ end }}{{ end -}}
{{- range $v.extraVolumes -}}
{{- if hasKey $taken .name }}{{ fail (printf "%sextraVolumes: a volume named %q is there already, from %s; choose another name" $where .name (get $taken .name)) }}{{ end -}}
{{- $_ := set $taken .name "extraVolumes" -}}
{{- end -}}
{{- $mounted := dict "/etc/uploadpp" "the chart" "/tmp" "the chart" -}}
{{- if $v.sidecar }}{{ $_ := set $mounted "/run/clamd" "the chart" }}{{ end -}}
{{- range $v.extraVolumeMounts -}}
{{- $path := .mountPath | default "" | trimSuffix "/" -}}
{{- if hasKey $mounted $path }}{{ fail (printf "%sextraVolumeMounts: %s is mounted already, by %s; choose another path" $where $path (get $mounted $path)) }}{{ end -}}
{{- $_ := set $mounted $path "extraVolumeMounts" -}}
{{- end -}}
{{- end }}

{{- /* (list WHERE ADDRESS): the port at the end of an address, if it has one. */ -}}
{{- define "upp.checkPort" -}}
{{- $port := regexFind ":[0-9]+/?$" (index . 1) | trimPrefix ":" | trimSuffix "/" -}}
{{- if and $port (not (regexMatch "^[1-9]" $port)) }}{{ fail (printf "%s: %s is not a port; the first one is 1, and none begins with 0" (first .) $port) }}{{ end -}}
{{- if and $port (gt (int $port) 65535) }}{{ fail (printf "%s: %s is not a port; the last one is 65535" (first .) $port) }}{{ end -}}
{{- end }}
