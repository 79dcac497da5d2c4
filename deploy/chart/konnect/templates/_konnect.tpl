{{- /* Labels of everything; the argument is a dict with `component` and the root context. */ -}}
{{- define "konnect.labels" -}}
k8s-app: {{ .component }}
app.kubernetes.io/name: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: konnect
{{- end -}}

{{- /* By which pods are selected: never changes between versions. */ -}}
{{- define "konnect.selector" -}}
k8s-app: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "konnect.proxyHost" -}}
{{- .Values.proxyHost | default (printf "konnectivity-server.%s.svc.cluster.local" .Release.Namespace) -}}
{{- end -}}
