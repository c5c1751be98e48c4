{{- /* What the schema cannot say about step services. */ -}}
{{- define "upp.stepChecks" -}}
{{- $served := dict -}}
{{- range $name, $service := include "upp.stepServices" . | fromJson -}}
{{- $where := printf "stepServices.%s" $name -}}
{{- $kinds := keys (pick $service "virusscan" "policies" "command" "program") | sortAlpha -}}
{{- if ne (len $kinds) 1 -}}
{{- fail (printf "%s: say what the service does with one of virusscan, policies, command and program, not with %s" $where (join " and " $kinds | default "none")) -}}
{{- end -}}
{{- if eq $service.step "delay" }}{{ fail (printf "%s: the operator does the step delay itself; remove the service" $where) }}{{ end -}}
{{- with get $served $service.step }}{{ fail (printf "stepServices.%s and %s serve the same step %q; name another one with `step`" . $where $service.step) }}{{ end -}}
{{- $_ := set $served $service.step $name -}}
{{- if has $service.step ($.Values.externalSteps | default list) -}}
{{- fail (printf "%s serves %q, which externalSteps lists too: two services would do the work twice, and the first answer would count; remove one of them" $where $service.step) -}}
{{- end -}}
{{- include "upp.stepKindChecks" (list $where $service) -}}
{{- include "upp.contextChecks" (list (printf "%s." $where) $service) -}}
{{- with $service.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}{{ fail (printf "%s.autoscaling.minReplicas is more than maxReplicas" $where) }}{{ end -}}
{{- if and .enabled (not (dig "requests" "cpu" "" ($service.resources | default dict))) }}{{ fail (printf "%s.autoscaling: the use of CPU is compared with resources.requests.cpu; set that" $where) }}{{ end -}}
{{- end -}}
{{- $logins := list -}}
{{- range $way, $each := $service.auth | default dict }}{{ if $each.existingSecret }}{{ $logins = append $logins (printf "%s.auth.%s.existingSecret" $where $way) }}{{ end }}{{ end -}}
{{- if gt (len $logins) 1 }}{{ fail (printf "%s: NATS takes one way to log in; set only one" (join ", " $logins)) }}{{ end -}}
{{- if and $service.auth (not $logins) }}{{ fail (printf "%s.auth: no existingSecret is named, so the service would not log in at all; name one, or leave auth out to log in as the operator" $where) }}{{ end -}}
{{- $set := merge (include "upp.stepVariables" (list $ $service) | fromYaml) (dict "POSTPROCESSING_EVENTS_AUTH_USERNAME" "" "POSTPROCESSING_EVENTS_AUTH_PASSWORD" "" "POSTPROCESSING_DEBUG_TOKEN" "" "OTEL_EXPORTER_OTLP_HEADERS" "" "UPLOADPP_NATS_CREDS_FILE" "" "UPLOADPP_NATS_NKEY_FILE" "" "UPLOADPP_NATS_TOKEN_FILE" "") -}}
{{- include "upp.checkExtras" (dict "where" (printf "%s." $where) "values" $service "set" $set) -}}
{{- end -}}
{{- end }}

{{- define "upp.stepKindChecks" -}}
{{- $where := index . 0 -}}
{{- $service := index . 1 -}}
{{- $image := $service.image | default dict -}}
{{- if and (hasKey $service "program") (not $image.repository) }}{{ fail (printf "%s.program: name the image of your program in %s.image.repository" $where $where) }}{{ end -}}
{{- if and $image.repository (not $image.tag) (not $image.digest) }}{{ fail (printf "%s.image: name a tag or a digest; the chart's version is not one of another image" $where) }}{{ end -}}
{{- range $index, $rule := dig "policies" "rules" list $service -}}
{{- if not (omit $rule "outcome" "message") }}{{ fail (printf "%s.policies.rules[%d]: a rule needs a condition: name, extension, mime, user, largerThan or smallerThan; for what no rule matches set default" $where $index) }}{{ end -}}
{{- end -}}
{{- if regexMatch "^0+([.]0+)? *[A-Za-z]*$" (toString ($service.maxFileSize | default "")) }}{{ fail (printf "%s.maxFileSize: no file has 0 bytes at most; leave it empty for the announced size" $where) }}{{ end -}}
{{- with $service.virusscan -}}
{{- include "upp.checkPort" (list (printf "%s.virusscan.clamd" $where) (hasPrefix "tcp:" .clamd | ternary .clamd "")) -}}
{{- if and (eq (.oversize | default "") "partial") (not .maxScanSize) (not $service.sidecar) }}{{ fail (printf "%s.virusscan.oversize: partial needs maxScanSize, the size of the part that is scanned" $where) }}{{ end -}}
{{- end -}}
{{- if $service.sidecar -}}
{{- include "upp.checkPort" (list (printf "%s.clamd.signatures.mirror" $where) (regexFind "^([a-z]+://)?[^/]*" $service.clamd.signatures.mirror)) -}}
{{- $conf := include "upp.clamdConf" (set (omit $service "clamd") "clamd" (omit $service.clamd "settings")) | lower -}}
{{- $instead := dict "streammaxlength" "clamd.maxFileMiB" "maxfilesize" "clamd.maxFileMiB" "maxthreads" "concurrency" "readtimeout" "timeoutSeconds" -}}
{{- range $service.clamd.settings -}}
{{- $name := splitList " " . | first -}}
{{- if and (regexMatch (printf "(?m)^%s " (lower $name)) $conf) (not (include "upp.clamdOwn" $name)) -}}
{{- $remedy := hasKey $instead (lower $name) | ternary (printf "set %s instead" (get $instead (lower $name))) "leave it out" -}}
{{- fail (printf "%s.clamd.settings: the chart sets %s, and clamd takes the first of two; %s" $where $name $remedy) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $service.command -}}
{{- if and .exitUnscanned (ne $service.step "virusscan") }}{{ fail (printf "%s.command.exitUnscanned has an effect only on the step virusscan; leave it out" $where) }}{{ end -}}
{{- end -}}
{{- end }}
