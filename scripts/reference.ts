/** The pages of the reference as text, each from the table in the sources that it describes. Pure. */

import {
  CONTROL,
  ERRORS,
  FleetEvent,
  HostView,
  KIND_NAMES,
  KINDS,
  type Kind,
  LogBatch,
  PERMISSIONS,
  Plan,
  ROLES,
  Rollout,
  RPC,
  SENTINEL_PERMISSIONS,
  STREAMS,
  type StreamSpec,
  SYSTEM_PERMISSIONS,
  TELEMETRY,
} from "@muster/protocol";
import type { z } from "zod";
import { AgentConfig } from "../packages/agent/src/config.ts";
import { ControllerConfig } from "../packages/controller/src/config.ts";
import { COLLECTED_METRICS } from "../packages/controller/src/metrics/collected.ts";
import { HOST_METRICS } from "../packages/controller/src/metrics/host.ts";
import { MACHINE_METRICS } from "../packages/controller/src/metrics/machine.ts";
import { type Field, fieldsOf } from "../packages/ctl/src/docs/fields.ts";
import { HAND_EDIT } from "../packages/ctl/src/docs/topics.ts";
import { AlertsFile } from "../packages/ctl/src/inventory/alerts.ts";
import { CommonFields, FORMS, MusterFile } from "../packages/ctl/src/inventory/forms.ts";
import { MonitoringFile } from "../packages/ctl/src/inventory/monitoring.ts";
import {
  alertsSchema,
  folderSchema,
  monitoringSchema,
  musterSchema,
  resourcesSchema,
  SCHEMA_FILES,
} from "../packages/ctl/src/inventory/schema.ts";
import { keptText } from "../packages/protocol/src/expression/window.ts";
import { type JsonSchema, jsonSchemaOf, undescribed } from "../packages/protocol/src/json-schema.ts";

const MADE = "<!-- Made by `npm run docs` from the sources: change it there. -->";

/** What has a place of its own and is not repeated where it is a part of something. */
const ELSEWHERE: ReadonlyMap<z.ZodType, string> = new Map<z.ZodType, string>([
  [FleetEvent, "event in telemetry.md"],
  [HostView, "host in rpc.md"],
  [Rollout, "rollout in rpc.md"],
  [Plan, "plan in rpc.md"],
  ...Object.entries(TELEMETRY).map(([kind, { sample }]) => [sample, `${kind} in telemetry.md`] as const),
]);

/** Every generated file, by its path. */
export function files(): ReadonlyMap<string, string> {
  const pages = { inventory, kinds, errors, subjects, configuration, telemetry, metrics, rpc };
  const written = new Map<string, string>();
  for (const [name, page] of Object.entries(pages))
    written.set(`docs/reference/${name}.md`, `${MADE}\n${page().join("\n\n")}\n`);
  for (const [path, schema] of [
    [SCHEMA_FILES.muster, musterSchema()],
    [SCHEMA_FILES.resources, resourcesSchema()],
    [SCHEMA_FILES.alerts, alertsSchema()],
    [SCHEMA_FILES.monitoring, monitoringSchema()],
  ] as const)
    written.set(`inventory/${path}`, `${JSON.stringify(schema, undefined, 1)}\n`);
  return written;
}

/** Fields that say nothing about themselves, and kinds, methods and samples that do not say what they are. */
export function complaints(): string[] {
  const all: [string, JsonSchema][] = [
    ["muster.yml", jsonSchemaOf(MusterFile)],
    ["alerts.yml", jsonSchemaOf(AlertsFile)],
    ["monitoring.yml", jsonSchemaOf(MonitoringFile)],
    ["a resource", jsonSchemaOf(CommonFields)],
    ...KIND_NAMES.map((kind): [string, JsonSchema] => [`kind ${kind}`, folderSchema(kind)]),
    ...KIND_NAMES.map((kind): [string, JsonSchema] => [`kind ${kind}`, jsonSchemaOf(KINDS[kind].spec)]),
    ...methods().flatMap(([subject, row]): [string, JsonSchema][] => [
      [`request of ${subject}`, jsonSchemaOf(row.request)],
      [`reply of ${subject}`, jsonSchemaOf(row.reply, "output")],
    ]),
    ...Object.entries(TELEMETRY).map(([kind, { sample }]): [string, JsonSchema] => [
      `telemetry ${kind}`,
      jsonSchemaOf(sample, "output"),
    ]),
    ["event", jsonSchemaOf(FleetEvent, "output")],
    ["log lines", jsonSchemaOf(LogBatch, "output")],
    ["configuration of the agent", jsonSchemaOf(AgentConfig)],
    ["configuration of the controller", jsonSchemaOf(ControllerConfig)],
  ];
  const fields = all.flatMap(([what, schema]) =>
    undescribed(schema).map((path) => `${what}: the field ${path} has no description`),
  );
  const wholes = [
    ...KIND_NAMES.filter((kind) => KINDS[kind].spec.description === undefined).map((kind) => `kind ${kind}`),
    ...Object.entries(TELEMETRY)
      .filter(([, { sample }]) => sample.description === undefined)
      .map(([kind]) => `telemetry ${kind}`),
  ].map((what) => `${what}: the schema itself has no description`);
  return [...new Set([...fields, ...wholes])];
}

const methods = () => [
  ...Object.entries(RPC).map(([name, row]) => [`rpc.<id>.${name}`, row] as const),
  ...Object.entries(CONTROL).map(([name, row]) => [`ctl.${name}`, row] as const),
];

function inventory(): string[] {
  return [
    "# The fleet folder",
    "A fleet is a folder of text files. `muster.yml` names it; every command of `ctl` looks for that file upward from where you stand.",
    table(
      ["file", "what it holds"],
      [
        ["`muster.yml`", "the fleet's name, its labels, how rollouts go"],
        ["`hosts.yml`", "an Ansible YAML inventory, read as it is: groups, hosts, children, vars, ranges"],
        ["`group_vars/`, `host_vars/`", "variables only, with Ansible's precedence"],
        [
          "`resources/<group or host>.yml`",
          "what Muster keeps: kind, then name, then fields ([kinds](kinds.md))",
        ],
        ["`templates/`", "Jinja2 templates; an undefined name is an error"],
        ["`files/`", "files that are copied as they are"],
        ["`alerts.yml`", "who is told of what ([alerts](../runbook/alerts.md)); not needed"],
        [
          "`monitoring.yml`",
          "what the monitoring around is given ([Prometheus](../runbook/prometheus.md)); not needed",
        ],
        [
          "`hosts.lock`, `images.lock`",
          "written by `ctl`, to be committed: keys of hosts, digests of images",
        ],
      ],
    ),
    "Editors check and complete `muster.yml` and `resources/` by the schemas in `.schema/` (`ctl docs --schema` writes them), with this first line: " +
      "`# yaml-language-server: $schema=../.schema/resources.json`.",
    "## muster.yml",
    fieldTable(fieldsOf(jsonSchemaOf(MusterFile))),
    "## alerts.yml",
    fieldTable(fieldsOf(jsonSchemaOf(AlertsFile))),
    "## monitoring.yml",
    fieldTable(fieldsOf(jsonSchemaOf(MonitoringFile))),
    "## resources/",
    "Resources of a more specific group, or of the host, are laid over general ones: maps merge, scalars and lists replace, `null` drops a field. Two groups of " +
      "equal rank that disagree are an error. `ctl explain HOST KIND/NAME` shows where each field came from. Any value may be a template (`{{ … }}`); names may not.",
    "Every resource may have, beside the fields of its kind:",
    fieldTable(fieldsOf(jsonSchemaOf(CommonFields))),
  ];
}

function kinds(): string[] {
  return [
    "# Kinds of resources",
    "As they are written in `resources/<group or host>.yml`; what every resource may have besides stands in [the fleet folder](inventory.md).",
    ...KIND_NAMES.flatMap((kind) => [`## ${kind}`, ...kindText(kind)]),
  ];
}

function kindText(kind: Kind): string[] {
  const { spec, on_drift, guarded } = KINDS[kind];
  const { one_of, short } = FORMS[kind] ?? {};
  const common = Object.keys(CommonFields.shape);
  const own = fieldsOf(folderSchema(kind)).filter(({ path }) => !common.includes(path));
  return [
    spec.description ?? "",
    [
      `- A hand edit is ${HAND_EDIT[on_drift]} (\`on_drift: ${on_drift}\`).`,
      ...(guarded
        ? [
            "- A change goes under guard: the host itself takes it back unless what worked before works after.",
          ]
        : []),
      ...(one_of === undefined
        ? []
        : [`- Exactly one of ${one_of.map((name) => `\`${name}\``).join(", ")}.`]),
      ...(short === undefined ? [] : [`- A bare value instead of the map: ${short.description}`]),
    ].join("\n"),
    fieldTable(own),
  ];
}

function errors(): string[] {
  return [
    "# Errors",
    "Every error has one of these codes. The code and a sentence are printed and cross the wire; scripts go by the exit code or, with `--json`, by the code. " +
      "`again` says whether the same call may work later without anybody changing anything.",
    "Exit codes: 0 done, 1 failed, 2 usage, 3 changes pending, 4 partly done, 5 unreachable, 130 stopped by ^C.",
    table(
      ["code", "what happened", "exit", "again"],
      Object.entries(ERRORS).map(([code, { message, exit, retryable }]) => [
        `\`${code}\``,
        message,
        String(exit),
        retryable ? "yes" : "no",
      ]),
    ),
  ];
}

const limit = (n: number, unit: string) => (n <= 0 ? "no limit" : `${n} ${unit}`);

function subjects(): string[] {
  const permissions = (title: string, { pub, sub, resp }: (typeof PERMISSIONS)["agent"]) => [
    `### ${title}`,
    table(
      ["may", "subject"],
      [
        ...pub.map((subject) => ["publish", `\`${subject}\``]),
        ...sub.map((subject) => ["subscribe", `\`${subject}\``]),
        ...(resp === undefined ? [] : [["answer", `${resp.max} times within ${resp.ttl_ms / 1_000} s`]]),
      ],
    ),
  ];
  return [
    "# Subjects, streams and permissions",
    "`<id>` is a host's public nkey, `<host>` its name. A test proves on a real server that each role may do what stands here, and nothing else.",
    "## Streams",
    "Made by `ctl init`. Nobody on the bus may change, purge or delete one, or make a consumer.",
    table(
      ["stream", "subjects", "messages a subject", "size", "age"],
      STREAMS.map((stream: StreamSpec) => [
        `\`${stream.name}\``,
        `${stream.subjects.map((subject) => `\`${subject}\``).join(", ")}${stream.republish === undefined ? "" : `, republished to \`${stream.republish.dest}\``}`,
        limit(stream.max_msgs_per_subject, ""),
        limit(stream.max_bytes / 1024 / 1024, "MiB"),
        limit(stream.max_age_ms / 86_400_000, "days"),
      ]),
    ),
    "## Permissions",
    "Allow lists of the roles' signing keys in account FLEET. The server puts the client's own public key in place of `{{subject()}}`, and the name in its JWT in place of `{{name()}}`.",
    ...ROLES.flatMap((role) => permissions(role, PERMISSIONS[role])),
    ...permissions("a machine that is not enrolled (account ENROL)", SENTINEL_PERMISSIONS),
    ...permissions("an admin in account SYS", SYSTEM_PERMISSIONS),
  ];
}

function configuration(): string[] {
  return [
    "# Configuration",
    "JSON files; a mistake is told with its field and what would be right, and the program does not start.",
    "## Agent: /etc/muster/agent.json",
    "Need not exist. The join string, or the fleet string, lies beside it as a text file.",
    fieldTable(fieldsOf(jsonSchemaOf(AgentConfig))),
    "## Controller",
    "Written by `ctl init`.",
    fieldTable(fieldsOf(jsonSchemaOf(ControllerConfig))),
  ];
}

function telemetry(): string[] {
  const sample = (schema: z.ZodType) => fieldTable(fieldsOf(jsonSchemaOf(schema, "output", ELSEWHERE)));
  return [
    "# Telemetry and events",
    "Each message is one plain JSON object. `ctl nats sub 'telemetry.*.core1.bgp'` shows them as they come; the last of each is kept in stream TELEMETRY, events in EVENT.",
    "Read tolerantly: a newer agent may say more. `null` is what could not be read, and never 0.",
    ...Object.entries(TELEMETRY).flatMap(([kind, row]) => [
      `## ${kind}`,
      `\`telemetry.<id>.<host>.${kind}\`, every ${row.period_ms / 1_000} s. ${row.sample.description ?? ""}`,
      sample(row.sample),
      ...[keptText(kind)].filter((text) => text !== ""),
    ]),
    "## log",
    `\`log.<id>.<host>\`, about once a second while there is something. ${LogBatch.description ?? ""}`,
    sample(LogBatch),
    "## event",
    `\`event.<id>.<host>.<kind>\`; a controller's events are about \`<host>\`, \`_\` is the fleet. ${FleetEvent.description ?? ""}`,
    sample(FleetEvent),
  ];
}

function metrics(): string[] {
  return [
    "# Metrics for Prometheus",
    "At `/metrics` of a controller, where its configuration says so; `ctl prometheus` writes alert rules and dashboards. What is not known has no series: of a silent host there is only that it is silent.",
    table(
      ["metric", "type", "labels", "meaning"],
      [...HOST_METRICS, ...MACHINE_METRICS, ...COLLECTED_METRICS].map(({ name, type, labels, help }) => [
        `\`${name}\``,
        type,
        ["host", ...labels].join(", "),
        help,
      ]),
    ),
    "Of the controller itself: `muster_controller_leading`, `muster_hosts`, `muster_host_missing` (by `host`, of every host that the folder declares: 1 = no machine ever joined as it); of the one that pushes log lines: `muster_log_lines_pushed_total`, `muster_log_lines_dropped_total` (by `host`, `controller`, or `loki`: of pushes that it refused, at most), `muster_log_messages_unreadable_total`.",
  ];
}

function rpc(): string[] {
  const part = (title: string, schema: z.ZodType, io: "input" | "output") => {
    const fields = fieldsOf(jsonSchemaOf(schema, io, ELSEWHERE));
    return fields.length === 0 ? [] : [`${title}:`, fieldTable(fields)];
  };
  const reply = (schema: z.ZodType) => {
    const known = schema === Plan ? undefined : ELSEWHERE.get(schema);
    return known === undefined ? part("Reply", schema, "output") : [`Reply: see ${known}.`];
  };
  return [
    "# RPC",
    '`rpc.<id>.<method>` asks one agent, `rpc.all.<method>` all of them, `ctl.<method>` the controllers. A request is `{ "v": 1, "args": … }`, signed; a reply is ' +
      '`{ "ok": … }` or `{ "error": { code, detail } }` with a code of [errors](errors.md). `ctl rpc METHOD SELECTOR --args JSON` calls the agents\' methods.',
    ...methods().flatMap(([subject, row]) => [
      `## ${subject}`,
      `${row.what} Authority: ${row.authority}${row.for_ci ? ", also ci" : ""}. Time limit: ${row.timeout_ms / 1_000} s.`,
      ...part("Request", row.request, "input"),
      ...reply(row.reply),
      ...("chunk" in row ? [...part("Chunk", row.chunk, "output"), ...part("End", row.end, "output")] : []),
    ]),
    ...[
      ["host", HostView],
      ["rollout", Rollout],
      ["plan", Plan],
    ].flatMap(([title, schema]) => [`## ${String(title)}`, ...part("Fields", schema as z.ZodType, "output")]),
  ];
}

function fieldTable(fields: readonly Field[]): string {
  if (fields.length === 0) return "No fields of its own.";
  return table(
    ["field", "form", "default", "meaning"],
    fields.map(({ path, form, otherwise, meaning }) => [
      `\`${path}\``,
      form,
      otherwise === "required" || otherwise === "-" ? otherwise : `\`${otherwise}\``,
      meaning,
    ]),
  );
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ").trim()).join(" | ")} |`;
  return [line(titles), `|${titles.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}
