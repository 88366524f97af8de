{{- define "coterie.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "coterie.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "coterie.labels" -}}
{{ include "coterie.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "coterie.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "coterie.name" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* The image of .of, and where that names none, of .root. */}}
{{- define "coterie.image" -}}
{{- $own := .of | default dict }}
{{- $named := ternary $own .root.Values.image (not (empty $own.repository)) }}
{{- if $named.digest }}{{ $named.repository }}@{{ $named.digest }}
{{- else }}{{ $named.repository }}:{{ $named.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "coterie.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "coterie.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Secrets come by reference alone; what is set here goes before them. */}}
{{- define "coterie.environment" -}}
- {name: COTERIE_HOME, value: /var/lib/coterie}
- {name: COTERIE_CONFIG, value: /etc/coterie/experts.yaml}
- {name: COTERIE_REQUIRE_KEY, value: "1"}
{{- range $name, $value := .Values.config }}
{{- /* Numbers are floats here, and 33554432 would be written 3.3554432e+07. */}}
{{- $whole := and (kindIs "float64" $value) (eq (toString $value) (toString (floor $value))) }}
- {name: {{ $name }}, value: {{ ternary (int64 $value) $value $whole | toString | quote }}}
{{- end }}
{{- range list "DATABASE_URL" "REDIS_URL" "COTERIE_SEAL_KEY" "COTERIE_CONTENTS_KEY" }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.secrets.environment }}, key: {{ . }}}}
{{- end }}
{{- end }}

{{- define "coterie.expertKeys" -}}
{{- with .Values.secrets.experts }}
envFrom:
{{- range . }}
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Pods of the chart's own say where they run, and take nobody's credentials along.  Service
links would put COTERIE_PORT=tcp://… into the environment, where it means something else. */}}
{{- define "coterie.pod" -}}
serviceAccountName: {{ include "coterie.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "coterie.podSecurity" . | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Kubernetes shows a secret's files to their group, and Coterie takes no key that others can
read: they are copied. */}}
{{- define "coterie.keyFiles" -}}
- name: key-files
  image: {{ include "coterie.image" (dict "root" . "of" .of) | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [install, -m, "0600", /keys/admin.key, /keys/chat.key, /keys/session.key, /var/lib/coterie/]
  securityContext:
    {{- include "coterie.containerSecurity" . | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: keys, mountPath: /keys, readOnly: true}
    - {name: home, mountPath: /var/lib/coterie}
{{- end }}

{{- define "coterie.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
