{{- define "upp.pullSecrets" -}}
{{- /* Charts list names there, or objects; one name may stand alone. */}}
{{- $secrets := list }}
{{- $shared := (.Values.global | default dict).imagePullSecrets | default list }}
{{- range concat (.Values.imagePullSecrets | default list) (kindIs "slice" $shared | ternary $shared (list $shared)) }}
{{- $secret := kindIs "string" . | ternary (dict "name" .) . }}
{{- if not (kindIs "map" $secret) }}{{ fail "global.imagePullSecrets: must be a list of names, or of objects with a name" }}{{ end }}
{{- /* A parent whose values have no secret leaves an empty name. */}}
{{- if $secret.name }}{{ $secrets = append $secrets $secret }}{{ end }}
{{- end }}
{{- with uniq $secrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* (list . CONTEXT): a security context of Pods. Where the chart's leaves users and groups to the cluster, by `null` or on
OpenShift, no other one names them either. */ -}}
{{- define "upp.podSecurityContext" -}}
{{- $ := index . 0 -}}
{{- $found := index . 1 | default dict -}}
{{- range list "runAsUser" "runAsGroup" "fsGroup" -}}
{{- if or (include "upp.openshift" $) (not (hasKey ($.Values.podSecurityContext | default dict) .)) }}{{ $found = omit $found . }}{{ end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* What our Pods have in common: (list . SOURCES ACCOUNT), more sources of the credentials, and perhaps another
account than the operator's. */ -}}
{{- define "upp.pod" -}}
{{- $sources := index . 1 -}}
{{- $account := gt (len .) 2 | ternary (last .) "" -}}
{{- with index . 0 -}}
serviceAccountName: {{ $account | default (include "upp.serviceAccountName" .) | quote }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- include "upp.pullSecrets" . }}
{{- $security := include "upp.podSecurityContext" (list . .Values.podSecurityContext) | fromJson }}
securityContext:
  {{- toYaml $security | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: credentials
    projected:
      {{- /* Without fsGroup the files belong to root: only a mode for everybody lets the Pod read them. */}}
      defaultMode: {{ hasKey $security "fsGroup" | ternary "0440" "0444" }}
      sources:
        {{- $found := concat $sources (include "upp.credentials" . | fromYamlArray) | default list }}
        {{- toYaml $found | nindent 8 }}
  - name: tmp
    emptyDir: {sizeLimit: 16Mi}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* The container of both: (list . VARIABLES), the names of variables that it does not get. */ -}}
{{- define "upp.container" -}}
{{- $without := index . 1 -}}
{{- with index . 0 -}}
image: {{ include "upp.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
securityContext:
  {{- toYaml (.Values.securityContext | default dict) | nindent 2 }}
env:
  {{- include "upp.environment" (list . $without) | nindent 2 }}
volumeMounts:
  - {name: credentials, mountPath: /etc/uploadpp, readOnly: true}
  # The Kubernetes client unpacks certificates there.
  - {name: tmp, mountPath: /tmp}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}
