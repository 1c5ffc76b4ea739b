{{/* Names. */}}
{{- define "patchbay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 36 | trimSuffix "-" -}}
{{- end -}}

{{- define "patchbay.fullname" -}}
{{- $name := include "patchbay.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 36 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 36 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 36 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "name" component) */}}
{{- define "patchbay.selector" -}}
app.kubernetes.io/name: {{ include "patchbay.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "patchbay.labels" -}}
{{ include "patchbay.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "patchbay.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "patchbay.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "patchbay.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The daemons that are wanted, as YAML: name -> what files/daemons.yaml says of it. */}}
{{- define "patchbay.daemons" -}}
{{- $out := dict -}}
{{- range $name, $d := .Files.Get "files/daemons.yaml" | fromYaml -}}
{{- if (index $.Values $d.values).enabled -}}{{- $_ := set $out $name $d -}}{{- end -}}
{{- end -}}
{{- toYaml $out -}}
{{- end -}}

{{/* A value as text: YAML's numbers are floats here, and 67108864 would become 6.7108864e+07. */}}
{{- define "patchbay.text" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{ printf "%.0f" . }}{{- else -}}{{ . }}{{- end -}}
{{- else if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if not (kindIs "invalid" .) -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* A time as the daemons write it (250ms, 3s, 5m, 1h, or milliseconds) in whole seconds, rounded up. */}}
{{- define "patchbay.seconds" -}}
{{- $t := include "patchbay.text" . -}}
{{- $n := regexFind "^[0-9]+" $t | int64 -}}
{{- $unit := regexFind "[a-z]*$" $t -}}
{{- if eq $unit "h" -}}{{ mul $n 3600 }}
{{- else if eq $unit "m" -}}{{ mul $n 60 }}
{{- else if eq $unit "s" -}}{{ $n }}
{{- else -}}{{ div (add $n 999) 1000 }}
{{- end -}}
{{- end -}}

{{/* Settings of one daemon that are no secrets, as JSON. (dict "root" $ "name" daemon "daemon" d) */}}
{{- define "patchbay.env" -}}
{{- $v := index .root.Values .daemon.values -}}
{{- $known := (index (.root.Files.Get "files/settings.yaml" | fromYaml) .name).plain -}}
{{- $env := dict -}}
{{- range $k, $file := .daemon.state -}}{{- $_ := set $env $k (printf "/var/lib/patchbay/%s" $file) -}}{{- end -}}
{{- if and (has "PAT_RETELL_PROVIDER_URL" $known) .root.Values.retellProvider.enabled -}}
{{- $_ := set $env "PAT_RETELL_PROVIDER_URL" (printf "http://%s-retell-provider:8080" (include "patchbay.fullname" .root)) -}}
{{- end -}}
{{- range $k, $value := .root.Values.config -}}
{{- if has $k $known -}}{{- $_ := set $env $k (include "patchbay.text" $value) -}}{{- end -}}
{{- end -}}
{{- range $k, $value := $v.config -}}{{- $_ := set $env $k (include "patchbay.text" $value) -}}{{- end -}}
{{- range $k, $port := .daemon.listen -}}{{- $_ := set $env $k (printf "%s:%v" $.root.Values.listenAddress $port) -}}{{- end -}}
{{- $_ := set $env "PAT_ADMIN_LISTEN" (printf "%s:9100" .root.Values.listenAddress) -}}
{{- $_ := set $env "PAT_DRAIN_MS" (include "patchbay.text" $v.drain) -}}
{{- range $k, $value := $env -}}{{- if eq $value "" -}}{{- $_ := unset $env $k -}}{{- end -}}{{- end -}}
{{- toJson $env -}}
{{- end -}}

{{/* "key" or "secret/key" as JSON. (dict "root" $ "key" text) */}}
{{- define "patchbay.secretKey" -}}
{{- if contains "/" .key -}}
{{- $parts := splitList "/" .key -}}
{{- dict "name" (first $parts) "key" (last $parts) | toJson -}}
{{- else -}}
{{- dict "name" .root.Values.secrets.name "key" .key | toJson -}}
{{- end -}}
{{- end -}}

{{/* Secrets of one daemon, as JSON: setting -> Secret and key. */}}
{{- define "patchbay.secrets" -}}
{{- $v := index .root.Values .daemon.values -}}
{{- $known := (index (.root.Files.Get "files/settings.yaml" | fromYaml) .name).secret -}}
{{- $all := dict -}}
{{- range $k, $key := .root.Values.secrets.keys -}}{{- if has $k $known -}}{{- $_ := set $all $k $key -}}{{- end -}}{{- end -}}
{{- range $k, $key := $v.secrets -}}{{- $_ := set $all $k $key -}}{{- end -}}
{{- $out := dict -}}
{{- range $k, $key := $all -}}
{{- if $key -}}{{- $_ := set $out $k (include "patchbay.secretKey" (dict "root" $.root "key" $key) | fromJson) -}}{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* Files of one daemon, as JSON: setting -> where from. */}}
{{- define "patchbay.files" -}}
{{- $known := (index (.root.Files.Get "files/settings.yaml" | fromYaml) .name).plain -}}
{{- $out := dict -}}
{{- range $k, $from := .root.Values.files -}}{{- if has $k $known -}}{{- $_ := set $out $k $from -}}{{- end -}}{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* TCP ports of all addresses in a daemon's settings, as a JSON list. (dict "env" map) */}}
{{- define "patchbay.ports" -}}
{{- $usual := dict "http" 80 "ws" 80 "https" 443 "wss" 443 "nats" 4222 "tls" 4222 -}}
{{- $ports := list -}}
{{- range $k, $value := .env -}}
{{- range regexFindAll "[a-z]+://[^,/ ?]+" $value -1 -}}
{{- $port := regexFind ":[0-9]+$" . | trimPrefix ":" -}}
{{- $ports = append $ports (int ($port | default (get $usual (regexFind "^[a-z]+" .) | default 443))) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* What every container of ours may and may not. */}}
{{- define "patchbay.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: { drop: [ALL] }
readOnlyRootFilesystem: true
{{- end -}}

{{- define "patchbay.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}
