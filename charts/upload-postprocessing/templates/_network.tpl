{{- /* Rules of the NetworkPolicies. A rule without ports would open all of them. */ -}}
{{- define "upp.ingressOfMetrics" -}}
- ports: [{protocol: TCP, port: {{ include "upp.portName" . | quote }}}]
  from:
    {{- toYaml (.Values.networkPolicy.metricsFrom | default (list (dict "namespaceSelector" dict))) | nindent 4 }}
{{- end }}

{{- /* DNS and NATS. */ -}}
{{- define "upp.egressToServers" -}}
{{- $nats := list }}
{{- range .Values.nats.endpoints }}
{{- $nats = append $nats (dict "protocol" "TCP" "port" (regexFind "[0-9]+/?$" . | trimSuffix "/" | int)) }}
{{- end -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {protocol: UDP, port: {{ . }}}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .Values.networkPolicy.dnsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
- ports: {{ uniq $nats | toJson }}
  {{- with .Values.networkPolicy.natsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* The data gateway: the ports that are named, and those of `storageCheck.from`. */ -}}
{{- define "upp.egressToStorage" -}}
{{- $ports := list }}
{{- range .Values.networkPolicy.storagePorts }}{{ $ports = append $ports (int .) }}{{ end }}
{{- range .Values.storageCheck.from }}
{{- $url := urlParse . }}
{{- $ports = append $ports (regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "https" | ternary "443" "80") | int) }}
{{- end -}}
- ports:
    {{- range uniq $ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .Values.networkPolicy.storageTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "upp.egressToCollector" -}}
{{- with .Values.tracing.endpoint }}
{{- $url := urlParse . }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "https" | ternary "443" "80") -}}
- ports: [{protocol: TCP, port: {{ $port }}}]
  {{- with $.Values.networkPolicy.collectorTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
