{{/* The prefix of all names: docmill, if the name of the release contains it. */}}
{{- define "docmill.name" -}}
{{- if contains "docmill" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-docmill" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels that select pods: (dict "root" $ "component" "gateway"). The component may be missing. */}}
{{- define "docmill.selector" -}}
app.kubernetes.io/name: docmill
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* All labels: (dict "root" $ "component" "gateway"). */}}
{{- define "docmill.labels" -}}
{{ include "docmill.selector" . }}
app.kubernetes.io/part-of: docmill
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* The image of a component. */}}
{{- define "docmill.image" -}}
{{- with .root.Values.image.registry }}{{ . | trimSuffix "/" }}/{{ end -}}
docmill/{{ .component }}:{{ (get .root.Values .component).imageTag | default .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{/* The variables of a group of settings. */}}
{{- define "docmill.settings" -}}
{{- $settings := get .root.Values.settings .group | default dict -}}
{{- if eq .group "gateway" -}}
{{- $settings = merge (dict) $settings (dict "DOCMILL_STATUS_URL" (printf "http://%s-status:8090" (include "docmill.name" .root))) -}}
{{- end -}}
{{- if and (eq .group "gateway") .root.Values.webhooks.enabled -}}
{{- $settings = merge (dict) $settings (dict "DOCMILL_WEBHOOKS" "true") -}}
{{- end -}}
{{- if and (eq .group "converter") (include "docmill.convertersAreScaled" .root) -}}
{{- /* conversion-timeout (2 minutes), and 30 s to store the result */ -}}
{{- $settings = merge (dict) $settings (dict "DOCMILL_DRAIN_TIMEOUT" "150s") -}}
{{- end -}}
{{- range $name, $value := $settings }}
{{ $name }}: {{ $value | toString | quote }}
{{- end -}}
{{- end -}}

{{/* Not empty if an autoscaler sets the number of converters. */}}
{{- define "docmill.convertersAreScaled" -}}
{{- if or .Values.autoscaling.keda.enabled .Values.autoscaling.hpaConverter.enabled -}}yes{{- end -}}
{{- end -}}

{{/* A ServiceAccount, PodDisruptionBudget and Deployment: (dict "root" $ "component" … "groups" (list …) "secrets" (dict VARIABLE key) "ports" (list …) "maxUnavailable" … "scaled" by an autoscaler). */}}
{{- define "docmill.workload" -}}
{{- $root := .root -}}
{{- $values := get $root.Values .component -}}
{{- $name := printf "%s-%s" (include "docmill.name" $root) .component -}}
{{- $settings := "" -}}
{{- range .groups -}}
{{- $settings = print $settings (include "docmill.settings" (dict "root" $root "group" .)) -}}
{{- end -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  labels: {{- include "docmill.labels" . | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels: {{- include "docmill.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "docmill.selector" . | nindent 6 }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- include "docmill.labels" . | nindent 4 }}
spec:
  {{- if not .scaled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  selector:
    matchLabels: {{- include "docmill.selector" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 25%}
  template:
    metadata:
      labels: {{- include "docmill.labels" . | nindent 8 }}
      annotations:
        # A change to the settings restarts the pods.
        checksum/settings: {{ $settings | sha256sum }}
        {{- with $values.podAnnotations }}{{ toYaml . | nindent 8 }}{{ end }}
    spec:
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: false
      # Otherwise Kubernetes adds variables for each Service, such as DOCMILL_STATUS_PORT, which Docmill would reject as unknown settings.
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ if and .scaled (eq .component "converter") }}{{ max 155 $values.terminationGracePeriodSeconds }}{{ else }}{{ $values.terminationGracePeriodSeconds }}{{ end }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile: {type: RuntimeDefault}
      topologySpreadConstraints:
        {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "docmill.selector" $ | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "docmill.image" . }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          envFrom:
            {{- range .groups }}
            - configMapRef: {name: {{ include "docmill.name" $root }}-{{ . }}}
            {{- end }}
          env:
            {{- range $variable, $key := .secrets }}
            - {name: {{ $variable }}, value: /etc/docmill/secrets/{{ $key }}}
            {{- end }}
            {{- with $values.goMemoryLimit }}
            - {name: GOMEMLIMIT, value: {{ . }}}
            {{- end }}
          ports: {{- toYaml .ports | nindent 12 }}
          resources: {{- toYaml $values.resources | nindent 12 }}
          startupProbe:
            httpGet: {path: /healthz, port: admin}
            periodSeconds: 1
            timeoutSeconds: 5
            failureThreshold: 120
          readinessProbe:
            httpGet: {path: /readyz, port: admin}
            {{- toYaml .readiness | nindent 12 }}
          livenessProbe:
            httpGet: {path: /healthz, port: admin}
            {{- toYaml .liveness | nindent 12 }}
          volumeMounts:
            {{- if $values.workSize }}
            - {name: work, mountPath: /work}
            - {name: tmp, mountPath: /tmp}
            {{- end }}
            - {name: secrets, mountPath: /etc/docmill/secrets, readOnly: true}
      volumes:
        {{- with $values.workSize }}
        - name: work
          emptyDir: {sizeLimit: {{ . }}}
        - name: tmp
          emptyDir: {medium: Memory, sizeLimit: 64Mi}
        {{- end }}
        - name: secrets
          secret:
            secretName: {{ $root.Values.secretName }}
            defaultMode: 0440
            items:
              {{- range $variable, $key := .secrets }}
              - {key: {{ $key }}, path: {{ $key }}}
              {{- end }}
{{- end -}}
