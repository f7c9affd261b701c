/** Every command, once: what it is for, and where it is loaded from when it is typed. */
import type { Command } from "../program/command.ts";

type Entry = { readonly summary: string; load(): Promise<Command> };

/** In the order in which the help shows them. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  init: { summary: "make a fleet, or finish making it", load: async () => (await import("./init.ts")).init },
  backup: {
    summary: "where backups go, and one now: on the first server",
    load: async () => (await import("./backup.ts")).backup,
  },
  restore: {
    summary: "the fleet's first server again, on a new machine",
    load: async () => (await import("./restore.ts")).restore,
  },
  unseal: {
    summary: "open the fleet's own Vault with the recovery kit",
    load: async () => (await import("./unseal.ts")).unseal,
  },
  vault: {
    summary: "a Vault of your own: make it ready, check it, who may do what",
    load: async () => (await import("./vault.ts")).vault,
  },
  login: { summary: "log in for eight hours", load: async () => (await import("./login.ts")).login },
  logout: { summary: "end the log-in", load: async () => (await import("./logout.ts")).logout },
  whoami: {
    summary: "who you are to the fleet, and until when",
    load: async () => (await import("./whoami.ts")).whoami,
  },
  sessions: {
    summary: "who is logged in to the fleet, and until when",
    load: async () => (await import("./sessions.ts")).sessions,
  },
  operator: {
    summary: "the people of the fleet",
    load: async () => (await import("./operator.ts")).operator,
  },
  revoke: {
    summary: "end a host's, a person's or a program's part in the fleet",
    load: async () => (await import("./revoke.ts")).revoke,
  },
  policy: {
    summary: "who is limited to which hosts, kinds and methods; judged on every host",
    load: async () => (await import("./policy.ts")).policy,
  },
  new: {
    summary: "a fleet folder for the hosts there are",
    load: async () => (await import("./new.ts")).newCommand,
  },
  join: {
    summary: "bring machines into the fleet, or print the strings that do",
    load: async () => (await import("./join.ts")).join,
  },
  enrol: { summary: "machines that wait for approval", load: async () => (await import("./enrol.ts")).enrol },
  hosts: {
    summary: "who is declared and who is enrolled",
    load: async () => (await import("./hosts.ts")).hosts,
  },
  host: {
    summary: "a host's own identity in the course of its life",
    load: async () => (await import("./host.ts")).host,
  },
  expiry: {
    summary: "which credentials and certificates end when",
    load: async () => (await import("./expiry.ts")).expiry,
  },
  dashboard: {
    summary: "the fleet as a web page",
    load: async () => (await import("./dashboard.ts")).dashboard,
  },
  status: {
    summary: "how every host stands, and what is wrong",
    load: async () => (await import("./status.ts")).status,
  },
  plan: {
    summary: "what hosts would do to become what the folder says",
    load: async () => (await import("./plan.ts")).plan,
  },
  apply: { summary: "make hosts what the folder says", load: async () => (await import("./apply.ts")).apply },
  rollback: {
    summary: "back to what was signed before",
    load: async () => (await import("./rollback.ts")).rollback,
  },
  drain: {
    summary: "take the traffic off a host before it is touched",
    load: async () => (await import("./drain.ts")).drain,
  },
  undrain: {
    summary: "give a drained host its traffic back",
    load: async () => (await import("./undrain.ts")).undrain,
  },
  reboot: {
    summary: "drain, reboot and undrain hosts, one after the other",
    load: async () => (await import("./reboot.ts")).reboot,
  },
  exec: {
    summary: "run a program on hosts, in your name",
    load: async () => (await import("./exec.ts")).exec,
  },
  ssh: {
    summary: "your own ssh to a host, which proves itself by the fleet's CA",
    load: async () => (await import("./ssh.ts")).ssh,
  },
  render: { summary: "what the templates become", load: async () => (await import("./render.ts")).render },
  image: {
    summary: "which images the tags stand for",
    load: async () => (await import("./image.ts")).image,
  },
  explain: {
    summary: "where a resource comes from, and what the host has",
    load: async () => (await import("./explain.ts")).explain,
  },
  bgp: {
    summary: "BGP sessions, or one of them explained",
    load: async () => (await import("./bgp.ts")).bgp,
  },
  birdc: {
    summary: "a show command of BIRD on a host",
    load: async () => (await import("./birdc.ts")).birdc,
  },
  health: {
    summary: "how the servers themselves are",
    load: async () => (await import("./health.ts")).health,
  },
  checks: {
    summary: "what must answer, and whether it does",
    load: async () => (await import("./checks.ts")).checks,
  },
  query: {
    summary: "which hosts fit a condition on what they told last",
    load: async () => (await import("./query.ts")).query,
  },
  facts: { summary: "what a server is", load: async () => (await import("./facts.ts")).facts },
  watch: {
    summary: "the fleet as it is, live in the terminal",
    load: async () => (await import("./watch.ts")).watch,
  },
  top: {
    summary: "which servers are busy, live",
    load: async () => (await import("./top.ts")).top,
  },
  logs: {
    summary: "the journal of hosts, and what comes",
    load: async () => (await import("./logs.ts")).logs,
  },
  events: {
    summary: "what happened, and what happens",
    load: async () => (await import("./events.ts")).events,
  },
  alerts: {
    summary: "what fires, who was told, and what is silenced",
    load: async () => (await import("./alerts.ts")).alerts,
  },
  silence: {
    summary: "nobody is told of some hosts' alerts for a while",
    load: async () => (await import("./silence.ts")).silence,
  },
  creds: {
    summary: "a credential for a program that looks on",
    load: async () => (await import("./creds.ts")).creds,
  },
  prometheus: {
    summary: "alert rules for Prometheus, for the hosts of the folder",
    load: async () => (await import("./prometheus.ts")).prometheus,
  },
  audit: {
    summary: "who asked for what and what came of it, and whether that record is whole",
    load: async () => (await import("./audit.ts")).audit,
  },
  nats: {
    summary: "the nats program with a viewer's rights",
    load: async () => (await import("./nats.ts")).nats,
  },
  docs: { summary: "kinds, fields, errors, selectors", load: async () => (await import("./docs.ts")).docs },
  rpc: { summary: "ask hosts anything, from ping on", load: async () => (await import("./rpc.ts")).rpc },
  completion: {
    summary: "completes commands, options and names in bash, zsh and fish",
    load: async () => (await import("./completion.ts")).completion,
  },
};
