{{- /* (list . SERVICE FILES CONTEXT): the Pod of a step service. CONTEXT is the chart with the service's own login. */ -}}
{{- define "upp.stepPod" -}}
{{- $ := index . 0 -}}
{{- $service := index . 1 -}}
{{- $files := index . 2 -}}
{{- $context := index . 3 -}}
{{- $security := include "upp.podSecurityContext" (list $ $service.podSecurityContext) | fromJson -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "upp.pullSecrets" $ }}
securityContext:
  {{- toYaml $security | nindent 2 }}
{{- with $service.priorityClassName | default $.Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $.Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with $service.nodeSelector | default $.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $service.tolerations | default $.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $service.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ add 15 (int64 $service.drainSeconds) }}
{{- if $service.sidecar }}
initContainers:
  {{- include "upp.clamdContainers" (list $ $service) | nindent 2 }}
{{- end }}
containers:
  - name: step
    image: {{ include "upp.imageOf" (list $ (include "upp.overlay" (list $.Values.image ($service.image | default dict)) | fromJson)) | quote }}
    imagePullPolicy: {{ dig "pullPolicy" $.Values.image.pullPolicy ($service.image | default dict) | quote }}
    {{- if hasKey $service "program" }}
    {{- with $service.program.command }}
    command:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $service.program.args }}
    args:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- else }}
    args: [step]
    {{- end }}
    env:
      {{- range $name, $value := include "upp.stepVariables" (list $context $service) | fromYaml }}
      - name: {{ $name }}
        value: {{ include "upp.literal" $value | quote }}
      {{- end }}
      {{- include "upp.secretVariables" $context | nindent 6 }}
      {{- with $service.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if $service.port }}
    ports:
      - {name: {{ include "upp.portName" $ | quote }}, containerPort: {{ $service.port }}, protocol: TCP}
    # Without NATS for 10 s and with nothing begun it is unhealthy: a new process may find what this one cannot.
    startupProbe:
      httpGet: {path: /healthz, port: {{ include "upp.portName" $ | quote }}}
      periodSeconds: 2
      failureThreshold: 30
      timeoutSeconds: 5
    livenessProbe:
      httpGet: {path: /healthz, port: {{ include "upp.portName" $ | quote }}}
      periodSeconds: 10
      failureThreshold: 6
      timeoutSeconds: 5
    readinessProbe:
      httpGet: {path: /readyz, port: {{ include "upp.portName" $ | quote }}}
      periodSeconds: 5
      failureThreshold: 2
      timeoutSeconds: 5
    {{- end }}
    resources:
      {{- toYaml ($service.resources | default dict) | nindent 6 }}
    securityContext:
      {{- toYaml ($.Values.securityContext | default dict) | nindent 6 }}
    volumeMounts:
      - {name: credentials, mountPath: /etc/uploadpp, readOnly: true}
      - {name: tmp, mountPath: /tmp}
      {{- if $service.sidecar }}
      - {name: clamd, mountPath: /run/clamd}
      {{- end }}
      {{- with $service.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: credentials
    projected:
      defaultMode: {{ hasKey $security "fsGroup" | ternary "0440" "0444" }}
      {{- $sources := include "upp.credentials" $context | fromYamlArray }}
      {{- if hasKey $files "rules.yaml" }}
      {{- $name := printf "%s-step-%s" (include "upp.fullname" $) $service.name }}
      {{- $sources = append $sources (dict "configMap" (dict "name" $name "items" (list (dict "key" "rules.yaml" "path" "rules.yaml")))) }}
      {{- end }}
      sources: {{- toYaml $sources | nindent 8 }}
  - name: tmp
    emptyDir: {sizeLimit: {{ $service.tmpSizeLimit | quote }}}
  {{- if $service.sidecar }}
  {{- include "upp.clamdVolumes" (list $ $service) | nindent 2 }}
  {{- end }}
  {{- with $service.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* Side-cars, which Kubernetes starts before the step and ends after it: the step never drains without its clamd. */ -}}
{{- define "upp.clamdContainers" -}}
{{- $ := index . 0 -}}
{{- $clamd := (index . 1).clamd -}}
{{- $image := include "upp.imageOf" (list $ $clamd.image) -}}
{{- if not $clamd.signatures.existingClaim -}}
# A download of all signatures by each new Pod would soon be refused by ClamAV's servers: begin with those of the image.
- name: signatures
  image: {{ $image | quote }}
  imagePullPolicy: {{ $clamd.image.pullPolicy | quote }}
  command: [cp, -R, /var/lib/clamav/., /signatures/]
  resources:
    {{- toYaml ($clamd.signatures.resources | default dict) | nindent 4 }}
  securityContext:
    {{- toYaml ($.Values.securityContext | default dict) | nindent 4 }}
  volumeMounts:
    - {name: clamd-signatures, mountPath: /signatures}
{{ end -}}
- name: clamd
  image: {{ $image | quote }}
  imagePullPolicy: {{ $clamd.image.pullPolicy | quote }}
  restartPolicy: Always
  command: [clamd, --foreground, --config-file=/etc/clamd/clamd.conf]
  # It reads all signatures first, which takes half a minute and more.
  startupProbe:
    exec: {command: [clamdscan, --config-file=/etc/clamd/clamd.conf, --ping=1]}
    periodSeconds: 5
    failureThreshold: 60
    timeoutSeconds: 5
  livenessProbe:
    exec: {command: [clamdscan, --config-file=/etc/clamd/clamd.conf, --ping=1]}
    periodSeconds: 30
    failureThreshold: 10
    timeoutSeconds: 10
  resources:
    {{- toYaml ($clamd.resources | default dict) | nindent 4 }}
  securityContext:
    {{- toYaml ($.Values.securityContext | default dict) | nindent 4 }}
  volumeMounts:
    - {name: clamd, mountPath: /run/clamd}
    - {name: clamd-tmp, mountPath: /tmp}
    - {name: clamd-signatures, mountPath: /var/lib/clamav, readOnly: true}
    - {name: clamd-configuration, mountPath: /etc/clamd, readOnly: true}
{{- if and $clamd.signatures.update (not $clamd.signatures.existingClaim) }}
- name: freshclam
  image: {{ $image | quote }}
  imagePullPolicy: {{ $clamd.image.pullPolicy | quote }}
  restartPolicy: Always
  command: [freshclam, --daemon, --foreground, --stdout, --config-file=/etc/clamd/freshclam.conf]
  resources:
    {{- toYaml ($clamd.signatures.resources | default dict) | nindent 4 }}
  securityContext:
    {{- toYaml ($.Values.securityContext | default dict) | nindent 4 }}
  volumeMounts:
    - {name: clamd, mountPath: /run/clamd}
    - {name: clamd-tmp, mountPath: /tmp}
    - {name: clamd-signatures, mountPath: /var/lib/clamav}
    - {name: clamd-configuration, mountPath: /etc/clamd, readOnly: true}
{{- end }}
{{- end }}

{{- define "upp.clamdVolumes" -}}
{{- $ := index . 0 -}}
{{- $service := index . 1 -}}
- name: clamd
  emptyDir: {sizeLimit: 1Mi}
# What each thread receives and unpacks: up to the file and four times as much.
- name: clamd-tmp
  emptyDir: {sizeLimit: {{ printf "%dMi" (mul 5 (int $service.concurrency) (int $service.clamd.maxFileMiB)) }}}
- name: clamd-configuration
  configMap:
    name: {{ printf "%s-step-%s" (include "upp.fullname" $) $service.name | quote }}
- name: clamd-signatures
  {{- with $service.clamd.signatures.existingClaim }}
  persistentVolumeClaim: {claimName: {{ . | quote }}, readOnly: true}
  {{- else }}
  emptyDir: {sizeLimit: 2Gi}
  {{- end }}
{{- end }}
