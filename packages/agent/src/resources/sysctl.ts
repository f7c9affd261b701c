/**
 * Kind `sysctl`: one kernel parameter, now (/proc/sys, proc(5)) and after a reboot (a file of its own in /etc/sysctl.d, sysctl.d(5)). One
 * file a key, so that keys come and go without one another.
 */
import type { Step } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { ResourceKind } from "./kind.ts";

export type ObservedSysctl = {
  /** What the kernel has now, fields parted by one space; null when it has no such key. */
  readonly now: string | null;
  /** The text of our file; null without one. */
  readonly file: string | null;
  readonly file_changed_ms: number | null;
};

const VALUE_BYTES = 64 * 1024;
const FILE_ATTRIBUTES = { owner: "root", group: "root", mode: "0644" } as const;

export const sysctl: ResourceKind<"sysctl", ObservedSysctl> = {
  host_wide: true,
  async observe(resource, { files }) {
    const kept = sysctlFile(resource.name);
    const facts = await files.facts(kept);
    const text = facts?.type === "file" ? await files.read(kept, VALUE_BYTES) : null;
    const now = await files.read(sysctlPath(resource.name), VALUE_BYTES);
    return {
      now: now === null ? null : fields(now.toString("utf8")),
      file: text === null ? null : text.toString("utf8"),
      file_changed_ms: facts?.changed_ms ?? null,
    };
  },
  plan(resource, observed) {
    const { name, spec } = resource;
    const value = fields(spec.value);
    if (observed.now === null)
      return {
        steps: [],
        notes: [],
        unsupported: `this kernel has no ${name} (a module that is not loaded?)`,
      };
    const ref = `sysctl/${name}`;
    const steps: Step[] = [];
    if (observed.file !== fileText(name, value)) {
      const why = observed.file === null ? "a reboot would lose it" : "the file for the next boot differs";
      const args = { key: name, value, ...(observed.file === null ? { makes: true } : {}) };
      steps.push({ ref, action: "persist", args, why, reversible: true });
    }
    if (observed.now !== value) {
      steps.push({
        ref,
        action: "set",
        args: { key: name, value },
        why: `${observed.now} now, ${value} declared`,
        reversible: true,
      });
    }
    return { steps, notes: [] };
  },
  removal(resource, observed) {
    if (observed.file === null) return { steps: [] };
    const step: Step = {
      ref: `sysctl/${resource.name}`,
      action: "remove",
      args: { key: resource.name },
      why: "no longer declared",
      ...(observed.now === null ? {} : { effect: `the kernel keeps ${observed.now} until the next boot` }),
      reversible: true,
    };
    return { steps: [step] };
  },
  async apply(step, { files }) {
    const key = String(step.args.key);
    const value = String(step.args.value);
    switch (step.action) {
      case "persist":
        return files.replace(sysctlFile(key), Buffer.from(fileText(key, value)), FILE_ATTRIBUTES);
      case "set": {
        const path = sysctlPath(key);
        await files.writeKernel(path, `${value}\n`);
        // Some keys take a value and make another of it.
        const now = fields((await files.read(path, VALUE_BYTES))?.toString("utf8") ?? "");
        if (now !== value)
          throw new FleetError(
            "FAILED",
            `the kernel made ${JSON.stringify(now)} of ${key} = ${JSON.stringify(value)}`,
          );
        return;
      }
      case "remove":
        return files.remove(sysctlFile(key));
      default:
        throw new FleetError("INVALID", `sysctl has no step ${step.action}`);
    }
  },
  managed: ({ now, file }) => ({ now, file }),
  edit: (_resource, { now, file_changed_ms }) => ({
    what: `set to ${now ?? "nothing"} by hand`,
    at_ms: file_changed_ms,
  }),
  // The kernel's own files make no events.
  watch: (resource) => [sysctlFile(resource.name)],
};

/** Dots part, and a slash stands for a dot inside a part (`net.ipv4.conf.eth0/100.forwarding`), as in sysctl.d(5). Errors: INVALID. */
export function sysctlPath(key: string): string {
  const parts = key.split(".").map((part) => part.replaceAll("/", "."));
  if (parts.some((part) => part === "" || /^\.+$/.test(part)))
    throw new FleetError("INVALID", `sysctl/${key}: no kernel parameter has such a part`);
  return `/proc/sys/${parts.join("/")}`;
}

/** The last in order of names wins, and Debian's own 99-sysctl.conf must not. */
export function sysctlFile(key: string): string {
  sysctlPath(key);
  return `/etc/sysctl.d/99-zz-muster-${key.replaceAll("/", "%")}.conf`;
}

const fileText = (key: string, value: string) => `# Written by Muster.\n${key} = ${value}\n`;

/** The kernel parts fields by tabs, people by spaces. */
const fields = (text: string) => text.trim().split(/\s+/).join(" ");
