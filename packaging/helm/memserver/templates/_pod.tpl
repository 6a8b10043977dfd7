{{/* Takes root, the name of a probe and what it does by itself. */}}
{{- define "memserver.probe" -}}
{{- $probe := get .root.Values (printf "%sProbe" .name) -}}
{{- $custom := get .root.Values (printf "custom%sProbe" (title .name)) -}}
{{- if $custom }}
{{ .name }}Probe:
  {{- toYaml $custom | nindent 2 }}
{{- else if $probe.enabled }}
{{ .name }}Probe:
  {{- toYaml .action | nindent 2 }}
  {{- toYaml (omit $probe "enabled") | nindent 2 }}
{{- end }}
{{- end }}

{{/* The template of both a Deployment's and a StatefulSet's pods. */}}
{{- define "memserver.pod" -}}
{{- $live := dict "tcpSocket" (dict "port" "memcached") -}}
{{- $ready := $live -}}
{{- if .Values.metrics.enabled -}}
{{- $live = dict "httpGet" (dict "port" "metrics" "path" "/livez") -}}
{{- $ready = dict "httpGet" (dict "port" "metrics" "path" "/readyz") -}}
{{- end -}}
{{- $volumes := .Values.extraVolumes -}}
{{- $mounts := .Values.extraVolumeMounts -}}
{{- if .Values.tls.enabled -}}
{{- $secret := dict "secretName" .Values.tls.existingSecret "defaultMode" 288 -}}
{{- $volumes = append $volumes (dict "name" "tls" "secret" $secret) -}}
{{- $mounts = append $mounts (dict "name" "tls" "mountPath" "/etc/memserver/tls" "readOnly" true) -}}
{{- end -}}
{{- if .Values.auth.enabled -}}
{{- $secret := dict "secretName" (include "memserver.authSecret" .) "defaultMode" 288 -}}
{{- $volumes = append $volumes (dict "name" "auth" "secret" $secret) -}}
{{- $mounts = append $mounts (dict "name" "auth" "mountPath" "/etc/memserver/auth" "readOnly" true) -}}
{{- end -}}
metadata:
  # Without the versions of chart and program: they would restart caches that did not change.
  labels:
    {{- include "memserver.selector" . | nindent 4 }}
    {{- with merge (dict) .Values.podLabels .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "memserver.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.automountServiceAccountToken }}
  # A Service's variables would be taken for settings of the server.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with concat .Values.global.imagePullSecrets .Values.image.pullSecrets | uniq }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- if .Values.podSecurityContext.enabled }}
  securityContext:
    {{- toYaml (omit .Values.podSecurityContext "enabled") | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.affinity }}
  affinity:
    {{- toYaml .Values.affinity | nindent 4 }}
  {{- else if .Values.podAntiAffinityPreset }}
  affinity:
    podAntiAffinity:
      {{- if eq .Values.podAntiAffinityPreset "hard" }}
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "memserver.selector" . | nindent 14 }}
      {{- else }}
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 1
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "memserver.selector" . | nindent 16 }}
      {{- end }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- $own := dict "labelSelector" (dict "matchLabels" (include "memserver.selector" $ | fromYaml)) }}
    {{- range . }}
    - {{- toYaml (merge (dict) . $own) | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.schedulerName }}
  schedulerName: {{ . }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: memserver
      image: {{ include "memserver.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- with .Values.command }}
      command:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      args:
        {{- include "memserver.args" . | nindent 8 }}
      {{- with .Values.extraEnvVars }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if or .Values.extraEnvVarsCM .Values.extraEnvVarsSecret }}
      envFrom:
        {{- with .Values.extraEnvVarsCM }}
        - configMapRef:
            name: {{ . }}
        {{- end }}
        {{- with .Values.extraEnvVarsSecret }}
        - secretRef:
            name: {{ . }}
        {{- end }}
      {{- end }}
      ports:
        - name: memcached
          containerPort: {{ .Values.containerPorts.memcached }}
          protocol: TCP
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: {{ .Values.containerPorts.metrics }}
          protocol: TCP
        {{- end }}
      {{- include "memserver.probe" (dict "root" . "name" "liveness" "action" $live) | nindent 6 }}
      {{- include "memserver.probe" (dict "root" . "name" "readiness" "action" $ready) | nindent 6 }}
      {{- include "memserver.probe" (dict "root" . "name" "startup" "action" $ready) | nindent 6 }}
      {{- with .Values.lifecycleHooks }}
      lifecycle:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- include "memserver.resources" . | nindent 8 }}
      {{- if .Values.containerSecurityContext.enabled }}
      securityContext:
        {{- toYaml (omit .Values.containerSecurityContext "enabled") | nindent 8 }}
      {{- end }}
      {{- with $mounts }}
      volumeMounts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- with .Values.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $volumes }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
