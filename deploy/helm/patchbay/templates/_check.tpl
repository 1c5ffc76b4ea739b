{{/* What is wrong with the settings, all of it at once; nothing when all is well. */}}
{{- define "patchbay.check" -}}
{{- $settings := .Files.Get "files/settings.yaml" | fromYaml -}}
{{- $daemons := include "patchbay.daemons" . | fromYaml -}}
{{- $ours := list "PAT_ADMIN_LISTEN" "PAT_DRAIN_MS" "PAT_PORT_FILE" -}}
{{- range $name, $d := $daemons -}}{{- $ours = concat $ours (keys $d.listen) -}}{{- end -}}
{{- $plain := list -}}{{- $secret := list -}}
{{- range $name, $s := $settings -}}
{{- $plain = concat $plain $s.plain -}}{{- $secret = concat $secret $s.secret -}}
{{- end -}}
{{- $bad := list -}}

{{- range $k, $_ := .Values.config -}}
{{- if has $k $ours -}}{{- $bad = append $bad (printf "config.%s: the chart sets it" $k) -}}
{{- else if has $k $secret -}}{{- $bad = append $bad (printf "config.%s: it is a secret; name its key in secrets.keys" $k) -}}
{{- else if not (has $k $plain) -}}{{- $bad = append $bad (printf "config.%s: no daemon has such a setting" $k) -}}
{{- end -}}
{{- end -}}
{{- range $k, $_ := .Values.secrets.keys -}}
{{- if not (has $k $secret) -}}{{- $bad = append $bad (printf "secrets.keys.%s: no daemon has such a secret" $k) -}}{{- end -}}
{{- end -}}
{{- range $k, $_ := .Values.files -}}
{{- if not (has $k $plain) -}}{{- $bad = append $bad (printf "files.%s: no daemon has such a setting" $k) -}}{{- end -}}
{{- if get $.Values.config $k -}}{{- $bad = append $bad (printf "files.%s: config has it too" $k) -}}{{- end -}}
{{- end -}}

{{- range $name, $d := $daemons -}}
{{- $v := index $.Values $d.values -}}
{{- $known := index $settings $name -}}
{{- range $k, $_ := $v.config -}}
{{- if has $k $ours -}}{{- $bad = append $bad (printf "%s.config.%s: the chart sets it" $d.values $k) -}}
{{- else if has $k $known.secret -}}{{- $bad = append $bad (printf "%s.config.%s: it is a secret; name its key in %s.secrets" $d.values $k $d.values) -}}
{{- else if not (has $k $known.plain) -}}{{- $bad = append $bad (printf "%s.config.%s: that daemon has no such setting" $d.values $k) -}}
{{- end -}}
{{- end -}}
{{- range $k, $_ := $v.secrets -}}
{{- if not (has $k $known.secret) -}}{{- $bad = append $bad (printf "%s.secrets.%s: that daemon has no such secret" $d.values $k) -}}{{- end -}}
{{- end -}}
{{- $args := dict "root" $ "name" $name "daemon" $d -}}
{{- $has := merge (include "patchbay.env" $args | fromJson) (include "patchbay.secrets" $args | fromJson) (include "patchbay.files" $args | fromJson) -}}
{{- range $known.required -}}
{{- if not (hasKey $has .) -}}
{{- $bad = append $bad (printf "%s needs %s: set %s.%s" $name . (ternary "secrets.keys" "config" (has . $known.secret)) .) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $name "stack-switcher") (not (or (hasKey $has "PAT_SUPABASE_JWKS_URL") (hasKey $has "PAT_SUPABASE_JWT_SECRET"))) -}}
{{- $bad = append $bad "stack-switcher needs config.PAT_SUPABASE_JWKS_URL, secrets.keys.PAT_SUPABASE_JWT_SECRET, or both" -}}
{{- end -}}
{{- end -}}

{{- if not .Values.config.PAT_NATS_URL -}}{{- $bad = append $bad "config.PAT_NATS_URL: where is your NATS?" -}}{{- end -}}
{{- if and .Values.livekitAgent.enabled (not .Values.config.PAT_LIVEKIT_URL) -}}{{- $bad = append $bad "config.PAT_LIVEKIT_URL: where is your LiveKit?" -}}{{- end -}}
{{- if $bad -}}{{- printf "\n\nThe values cannot work:\n  - %s\n" (join "\n  - " (uniq $bad)) | fail -}}{{- end -}}
{{- end -}}
