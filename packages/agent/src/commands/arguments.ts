/** Reads the command line of `muster-agent`, and who typed it. */
import { userInfo } from "node:os";
import { parseArgs } from "node:util";
import { FleetError } from "@muster/protocol/errors";
import { DEFAULT_CONFIG_FILE } from "../config.ts";

export type Given = {
  readonly command: string;
  readonly words: readonly string[];
  readonly config_file: string;
  readonly help: boolean;
  readonly json: boolean;
  readonly boot: boolean;
  readonly why: string | null;
  readonly record: string | null;
  readonly after_ms: number;
};

/** Errors: USAGE. */
export function parseArguments(argv: readonly string[]): Given {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: { type: "string", default: DEFAULT_CONFIG_FILE },
        help: { type: "boolean", short: "h", default: false },
        json: { type: "boolean", default: false },
        boot: { type: "boolean", default: false },
        why: { type: "string" },
        record: { type: "string" },
        "after-ms": { type: "string" },
      },
    });
    const [command = "", ...words] = positionals;
    return {
      command,
      words,
      config_file: values.config,
      help: values.help || command === "help",
      json: values.json,
      boot: values.boot,
      why: values.why ?? null,
      record: values.record ?? null,
      after_ms: Number(values["after-ms"] ?? 0),
    };
  } catch (cause) {
    throw new FleetError("USAGE", cause instanceof Error ? cause.message : "", { cause });
  }
}

const UNITS: Record<string, number> = { s: 1_000, min: 60_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `2h`, `30min`, `1d` in milliseconds. Errors: USAGE. */
export function duration_ms(text: string): number {
  const [, number, unit = ""] = /^(\d{1,6})(s|min|m|h|d)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (number === undefined || factor === undefined || Number(number) === 0) {
    throw new FleetError("USAGE", `${text || "no time"}: say how long, such as 30min, 2h or 1d`);
  }
  return Number(number) * factor;
}

/** Who sits there, as the host's own log-in says it. */
export const whoAmI = (): string => process.env.SUDO_USER ?? userInfo().username;
