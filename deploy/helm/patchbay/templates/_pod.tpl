{{/* A field of `pod`: the daemon's own, else that of all. (dict "all" .Values.pod "own" $v.pod "field" "tolerations") */}}
{{- define "patchbay.podField" -}}
{{- $value := ternary (get .own .field) (get .all .field) (hasKey .own .field) -}}
{{- if $value -}}{{- toYaml (dict .field $value) -}}{{- end -}}
{{- end -}}

{{/* The pod of one daemon. (dict "root" $ "name" daemon "daemon" d) */}}
{{- define "patchbay.pod" -}}
{{- $v := index .root.Values .daemon.values -}}
{{- $env := include "patchbay.env" . | fromJson -}}
{{- $secrets := include "patchbay.secrets" . | fromJson -}}
{{- $files := include "patchbay.files" . | fromJson -}}
{{- $all := .root.Values.pod -}}
{{- $spread := merge (dict) (get $v.pod "spread" | default dict) $all.spread -}}
{{- $notes := merge (dict) (get $v.pod "annotations" | default dict) $all.annotations -}}
{{- if .root.Values.metrics.annotations -}}
{{- $notes = merge $notes (dict "prometheus.io/scrape" "true" "prometheus.io/port" "9100" "prometheus.io/path" "/metrics") -}}
{{- end -}}
metadata:
  labels:
    {{- include "patchbay.selector" . | nindent 4 }}
    # Not the chart's own version: a new chart alone is no reason to end pods.
    app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | trimAll "-_." | quote }}
    {{- with merge (dict) (get $v.pod "labels" | default dict) $all.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $notes }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "patchbay.serviceAccount" .root }}
  automountServiceAccountToken: false
  # Else the cluster puts variables of its own into the environment, which may look like ours.
  enableServiceLinks: false
  # What the daemon may take to finish, what it takes to close, and some seconds to spare.
  terminationGracePeriodSeconds: {{ add (include "patchbay.seconds" $v.drain | int) (ternary .root.Values.preStopSeconds 0 (not (empty .daemon.ports))) 20 }}
  securityContext:
    {{- include "patchbay.podSecurity" . | nindent 4 }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- range list "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
  {{- with include "patchbay.podField" (dict "all" $all "own" $v.pod "field" .) }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: {{ $spread.hosts }}
      labelSelector:
        matchLabels:
          {{- include "patchbay.selector" . | nindent 10 }}
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: {{ $spread.zones }}
      labelSelector:
        matchLabels:
          {{- include "patchbay.selector" . | nindent 10 }}
  containers:
    - name: {{ .name }}
      image: {{ include "patchbay.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [patchbay-{{ .name }}]
      env:
        {{- range $k, $value := $env }}
        - name: {{ $k }}
          value: {{ $value | quote }}
        {{- end }}
        {{- range $k, $_ := $secrets }}
        - name: {{ $k }}_FILE
          value: /etc/patchbay/{{ $k }}
        {{- end }}
        {{- range $k, $_ := $files }}
        - name: {{ $k }}
          value: /etc/patchbay/{{ $k }}
        {{- end }}
      ports:
        - name: admin
          containerPort: 9100
        {{- range $port, $number := .daemon.ports }}
        - name: {{ $port }}
          containerPort: {{ $number }}
        {{- end }}
      startupProbe:
        httpGet: { path: /healthz, port: admin }
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 30
      livenessProbe:
        # Answers while the loop turns; NATS and Postgres are not asked.
        httpGet: { path: /healthz, port: admin }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: { path: /readyz, port: admin }
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      {{- if .daemon.ports }}
      lifecycle:
        # Goes on answering until the proxies have heard that this pod leaves; only then comes SIGTERM.
        preStop:
          exec: { command: [sleep, {{ .root.Values.preStopSeconds | quote }}] }
      {{- end }}
      securityContext:
        {{- include "patchbay.containerSecurity" . | nindent 8 }}
      {{- with $v.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - { name: settings, mountPath: /etc/patchbay, readOnly: true }
        - { name: tmp, mountPath: /tmp }
        {{- if .daemon.state }}
        - { name: state, mountPath: /var/lib/patchbay }
        {{- end }}
  volumes:
    - name: settings
      projected:
        defaultMode: 0440
        sources:
          {{- range $k, $from := $secrets }}
          - secret: { name: {{ $from.name }}, items: [{ key: {{ $from.key }}, path: {{ $k }} }] }
          {{- end }}
          {{- range $k, $from := $files }}
          {{- if $from.secret }}
          - secret: { name: {{ $from.secret }}, items: [{ key: {{ $from.key }}, path: {{ $k }} }] }
          {{- else }}
          - configMap: { name: {{ $from.configMap }}, items: [{ key: {{ $from.key }}, path: {{ $k }} }] }
          {{- end }}
          {{- end }}
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
    {{- if and .daemon.state (not $v.persistence.enabled) }}
    - name: state
      emptyDir: { sizeLimit: {{ $v.persistence.size }} }
    {{- end }}
{{- end -}}
