{{- define "memserver.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 52 characters: a StatefulSet's pods get a hash of 10 behind it in a label. */}}
{{- define "memserver.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "memserver.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "memserver.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "memserver.selector" -}}
app.kubernetes.io/name: {{ include "memserver.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "memserver.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "memserver.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name, namespace, labels and annotations. Takes root, and the object's own annotations. */}}
{{- define "memserver.metadata" -}}
{{- $annotations := merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations -}}
metadata:
  name: {{ default (include "memserver.fullname" .root) .name }}
  namespace: {{ default .root.Release.Namespace .namespace }}
  labels:
    {{- include "memserver.labels" .root | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "memserver.image" -}}
{{- $image := .Values.image -}}
{{- $name := $image.repository -}}
{{- with default $image.registry .Values.global.imageRegistry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if $image.digest -}}
{{ $name }}@{{ $image.digest }}
{{- else -}}
{{ $name }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end }}

{{- define "memserver.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "memserver.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Mebibytes of a quantity such as 288Mi, 1.5Gi or 300000000. */}}
{{- define "memserver.mebibytes" -}}
{{- $units := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- if not (hasKey $units $unit) }}{{ fail (printf "resources.limits.memory: %s has no unit that the chart knows" $text) }}{{ end -}}
{{- divf (mulf (float64 (trimSuffix $unit $text)) (get $units $unit)) 1048576.0 | floor | int -}}
{{- end }}

{{/* What the server needs at most, in MiB: -m, program, clients, kernel. */}}
{{- define "memserver.memoryMost" -}}
{{- add (int .Values.allocatedMemory) 24 64 8 -}}
{{- end }}

{{- define "memserver.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- $memory := printf "%sMi" (include "memserver.memoryMost" .) -}}
{{- range $kind := list "limits" "requests" -}}
{{- $given := default (dict) (get $resources $kind) -}}
{{- if not (hasKey $given "memory") -}}
{{- $limit := dig "limits" "memory" $memory $resources -}}
{{- $_ := set $given "memory" (ternary $memory $limit (eq $kind "limits")) -}}
{{- end -}}
{{- $_ := set $resources $kind $given -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

{{- define "memserver.extended" -}}
{{- $words := list -}}
{{- if and .Values.auth.enabled (eq .Values.auth.protocol "sasl") }}{{ $words = append $words "sasl_pwdb=/etc/memserver/auth/users" }}{{ end -}}
{{- with .Values.tls -}}
{{- if .enabled -}}
{{- $words = append $words (printf "ssl_chain_cert=/etc/memserver/tls/%s" .certFilename) -}}
{{- $words = append $words (printf "ssl_key=/etc/memserver/tls/%s" .certKeyFilename) -}}
{{- if .authClients -}}
{{- $words = append $words (printf "ssl_ca_cert=/etc/memserver/tls/%s" .certCAFilename) -}}
{{- $words = append $words "ssl_verify_mode=2" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.extraExtendedOptions }}{{ $words = append $words . }}{{ end -}}
{{- join "," $words -}}
{{- end }}

{{- define "memserver.args" -}}
{{- if .Values.args -}}
{{- toYaml .Values.args -}}
{{- else -}}
{{- $port := int .Values.containerPorts.memcached -}}
- "-m"
- {{ int .Values.allocatedMemory | quote }}
- "-I"
- {{ printf "%dm" (int .Values.maxItemMemory) | quote }}
- "-c"
- {{ int .Values.connectionLimit | quote }}
- "-t"
- {{ .Values.threads | toString | quote }}
{{- if ne $port 11211 }}
- "-p"
- {{ $port | quote }}
{{- end }}
{{- if .Values.metrics.enabled }}
- "--admin-addr"
- {{ printf "0.0.0.0:%d" (int .Values.containerPorts.metrics) | quote }}
{{- end }}
- "--drain-timeout"
- {{ printf "%ds" (int .Values.drainTimeoutSeconds) | quote }}
{{- if .Values.tls.enabled }}
- "-Z"
{{- end }}
{{- if .Values.auth.enabled }}
{{- if eq .Values.auth.protocol "sasl" }}
- "-S"
{{- else }}
- "-Y"
- "/etc/memserver/auth/users"
{{- end }}
{{- end }}
{{- if gt (int .Values.verbosity) 0 }}
- {{ printf "-%s" (repeat (int .Values.verbosity) "v") | quote }}
{{- end }}
{{- with include "memserver.extended" . }}
- "-o"
- {{ . | quote }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- end }}

{{- define "memserver.authSecret" -}}
{{- default (printf "%s-auth" (include "memserver.fullname" .)) .Values.auth.existingPasswordSecret -}}
{{- end }}

{{/* Values that contradict each other. */}}
{{- define "memserver.validate" -}}
{{- if and (eq .Values.architecture "standalone") (gt (int .Values.replicaCount) 1) -}}
{{- fail "replicaCount: caches behind one address would each hold other values of the same key; set architecture to high-availability" -}}
{{- end -}}
{{- if .Values.persistence.enabled -}}
{{- fail "persistence.enabled: not built; extraArgs and extraVolumes can give a memory file, see README.md" -}}
{{- end -}}
{{- if gt (mul 2 (int .Values.maxItemMemory)) (int .Values.allocatedMemory) -}}
{{- fail (printf "maxItemMemory: at most half of allocatedMemory (%d)" (int .Values.allocatedMemory)) -}}
{{- end -}}
{{- if and .Values.tls.enabled (not .Values.tls.existingSecret) -}}
{{- fail "tls: give existingSecret" -}}
{{- end -}}
{{- if and .Values.auth.enabled (not .Values.auth.existingPasswordSecret) (or (not .Values.auth.username) (not .Values.auth.password)) -}}
{{- fail "auth: give existingPasswordSecret, or username and password" -}}
{{- end -}}
{{- if ge (int .Values.drainTimeoutSeconds) (int .Values.terminationGracePeriodSeconds) -}}
{{- fail (printf "drainTimeoutSeconds: less than terminationGracePeriodSeconds (%d)" (int .Values.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "metrics.serviceMonitor: there is nothing to ask without metrics.enabled" -}}
{{- end -}}
{{- if and .Values.pdb.minAvailable .Values.pdb.maxUnavailable -}}
{{- fail "pdb: minAvailable and maxUnavailable exclude each other" -}}
{{- end -}}
{{- $limit := dig "limits" "memory" "" .Values.resources -}}
{{- $least := add (int .Values.allocatedMemory) 24 4 -}}
{{- if $limit -}}
{{- $given := include "memserver.mebibytes" $limit | int -}}
{{- if lt $given (int $least) -}}
{{- fail (printf "resources.limits.memory: %s is %d MiB; allocatedMemory %d + 24 for the program + at least 4 for clients = %d" $limit $given (int .Values.allocatedMemory) $least) -}}
{{- end -}}
{{- end -}}
{{- end }}
