{{- define "upp.pullSecrets" -}}
{{- /* Other charts list names there, or objects. */}}
{{- $secrets := .Values.imagePullSecrets | default list }}
{{- range (.Values.global | default dict).imagePullSecrets }}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with uniq $secrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* (list . OWN): the security context of Pods, with what is OWN of these. Users and groups are those of nobody where the
chart's are left to the cluster. */ -}}
{{- define "upp.podSecurityContext" -}}
{{- $found := (index . 0).Values.podSecurityContext | default dict -}}
{{- $own := index . 1 | default dict -}}
{{- range list "runAsUser" "runAsGroup" "fsGroup" -}}
{{- if kindIs "invalid" (get $found . | default nil) }}{{ $own = omit $own . }}{{ end -}}
{{- end -}}
{{- include "upp.overlay" (list $found $own) -}}
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
securityContext:
  {{- toYaml (.Values.podSecurityContext | default dict) | nindent 2 }}
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
      defaultMode: {{ kindIs "invalid" (.Values.podSecurityContext | default dict).fsGroup | ternary "0444" "0440" }}
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
