/**
 * Alert rules for Prometheus over the metrics of the controller: what is wrong, and the next command to type. A rule that cannot fire is
 * worse than none: `promtool test rules` shows of each that it fires and that it can be silent (test/unit/ctl/prometheus.test.ts).
 */

export type Rule = {
  readonly alert: string;
  readonly expr: string;
  /** How long it has to hold; durations in Prometheus' form. */
  readonly for: string;
  readonly severity: "page" | "ticket";
  readonly summary: string;
  /** The next command to type. */
  readonly command: string;
};

export const RULES: readonly Rule[] = [
  {
    alert: "MusterControllerGone",
    expr: "absent(muster_controller_leading)",
    for: "1m",
    severity: "page",
    summary: "no controller answers: nothing is rolled out, admitted or watched",
    command: "systemctl status muster-controller",
  },
  {
    alert: "MusterNoLeader",
    expr: "max(muster_controller_leading) == 0",
    for: "1m",
    severity: "page",
    summary: "no controller leads: rollouts stand still",
    command: "ctl status",
  },
  {
    alert: "MusterHostSilent",
    expr: "muster_host_up == 0",
    for: "10s",
    severity: "page",
    summary: "{{ $labels.host }} is silent: what it does is not known",
    command: "ctl status {{ $labels.host }}",
  },
  {
    alert: "MusterHostMissing",
    expr: "muster_host_missing == 1",
    for: "0s",
    severity: "ticket",
    summary: "{{ $labels.host }} is in the folder and never joined",
    command: "ctl join {{ $labels.host }} --ssh",
  },
  {
    alert: "MusterCollectorBlind",
    expr: "muster_host_collector_blind == 1",
    for: "0s",
    severity: "ticket",
    summary: "{{ $labels.host }} is heard, and says nothing of {{ $labels.kind }} any more",
    command: "ctl logs {{ $labels.host }} muster-agent",
  },
  {
    alert: "MusterHostFault",
    expr: 'muster_host_faults{colour="red"} > 0',
    for: "30s",
    severity: "ticket",
    summary: "{{ $labels.host }}: something is wrong with its {{ $labels.kind }}",
    command: "ctl health {{ $labels.host }}",
  },
  {
    alert: "MusterHostNotAsDeclared",
    expr: 'muster_host_state{state=~"failed|undone|refused"} == 1',
    for: "0s",
    severity: "page",
    summary: "the last change of {{ $labels.host }} is {{ $labels.state }}",
    command: "ctl status {{ $labels.host }}",
  },
  {
    alert: "MusterResourceInTrouble",
    expr: "muster_host_troubles > 0",
    for: "1m",
    severity: "page",
    summary: "{{ $value }} resources of {{ $labels.host }} failed or stopped",
    command: "ctl status {{ $labels.host }}",
  },
  {
    alert: "MusterHandEdit",
    expr: "muster_host_drifts > 0",
    for: "5m",
    severity: "ticket",
    summary: "{{ $value }} resources of {{ $labels.host }} differ from the folder",
    command: "ctl plan {{ $labels.host }}",
  },
  {
    alert: "MusterSessionDown",
    expr: "muster_bgp_session_red == 1",
    for: "15s",
    severity: "page",
    summary: "{{ $labels.session }} (AS{{ $labels.neighbor_as }}) of {{ $labels.host }} is not as declared",
    command: "ctl bgp {{ $labels.host }} {{ $labels.session }}",
  },
  {
    alert: "MusterSessionFlapping",
    expr: "muster_bgp_session_flaps >= 3",
    for: "0s",
    severity: "ticket",
    summary: "{{ $labels.session }} of {{ $labels.host }} went down {{ $value }} times in the last hour",
    command: "ctl bgp {{ $labels.host }} {{ $labels.session }}",
  },
  {
    alert: "MusterRoutingDaemonDown",
    expr: "muster_bgp_daemon_up == 0",
    for: "15s",
    severity: "page",
    summary: "the routing daemon of {{ $labels.host }} does not answer",
    command: "ctl bgp {{ $labels.host }}",
  },
  {
    alert: "MusterRoutingFault",
    expr: 'muster_bgp_faults{colour="red"} > 0',
    for: "15s",
    severity: "page",
    summary: "the routing of {{ $labels.host }} has red faults beside its sessions: {{ $value }}",
    command: "ctl bgp {{ $labels.host }}",
  },
  {
    alert: "MusterCheckDown",
    expr: "muster_check_up == 0",
    // It has counted its bad answers itself; one that is new is blind for a moment.
    for: "15s",
    severity: "page",
    summary: "check {{ $labels.check }} of {{ $labels.host }} is down, or cannot be told",
    command: "ctl checks {{ $labels.host }}",
  },
  {
    alert: "MusterChecksUnknown",
    expr: "muster_host_checks > 0 unless on(host) muster_check_up",
    for: "1m",
    severity: "page",
    summary: "nothing is known of the {{ $value }} checks of {{ $labels.host }}",
    command: "ctl checks {{ $labels.host }}",
  },
  {
    alert: "MusterCredentialEnds",
    expr: "muster_certificate_expiry_timestamp_seconds - time() < 2 * 86400",
    for: "10m",
    severity: "ticket",
    summary:
      "credential {{ $labels.name }} of {{ $labels.host }} ends in {{ $value | humanizeDuration }}, and was not renewed",
    command: "ctl status {{ $labels.host }}",
  },
  {
    alert: "MusterClockOff",
    expr: "abs(muster_host_clock_skew_seconds) > 5",
    for: "1m",
    severity: "ticket",
    summary: "the clock of {{ $labels.host }} is off by {{ $value | humanizeDuration }}",
    command: "ctl exec {{ $labels.host }} -- timedatectl",
  },
  {
    alert: "MusterClockFollowsNone",
    expr: "muster_host_clock_synchronized == 0",
    for: "10m",
    severity: "ticket",
    summary: "the clock of {{ $labels.host }} follows no time server",
    command: "ctl exec {{ $labels.host }} -- timedatectl",
  },
  {
    alert: "MusterDiskFillsSoon",
    expr: "muster_host_filesystem_full_in_seconds < 7200",
    for: "1m",
    severity: "page",
    summary:
      "{{ $labels.mount }} of {{ $labels.host }} will be full in {{ $value | humanizeDuration }} if it goes on like this",
    command: "ctl health {{ $labels.host }}",
  },
  {
    alert: "MusterDiskFull",
    expr: "muster_host_filesystem_used_bytes / muster_host_filesystem_size_bytes > 0.9",
    for: "1m",
    severity: "page",
    summary: "{{ $labels.mount }} of {{ $labels.host }} is {{ $value | humanizePercentage }} full",
    command: "ctl health {{ $labels.host }}",
  },
  {
    alert: "MusterLogLinesDropped",
    expr: "sum by (by) (increase(muster_log_lines_dropped_total[15m])) > 0",
    for: "0s",
    severity: "ticket",
    summary: "{{ $value }} log lines were dropped on their way to Loki in 15 min, by the {{ $labels.by }}",
    command: "ctl alerts",
  },
  {
    alert: "MusterUnitsFailed",
    expr: "muster_host_failed_units > 0",
    for: "2m",
    severity: "ticket",
    summary: "{{ $value }} systemd units of {{ $labels.host }} failed",
    command: "ctl health {{ $labels.host }}",
  },
];

/** The file that Prometheus reads (`rule_files`). */
export function ruleFile(fleet: string, rules: readonly Rule[]): object {
  return {
    groups: [
      {
        name: `muster ${fleet}`,
        rules: rules.map(({ alert, expr, for: held, severity, summary, command }) => ({
          ...{ alert, expr, for: held },
          labels: { severity, fleet },
          annotations: { summary, command },
        })),
      },
    ],
  };
}
