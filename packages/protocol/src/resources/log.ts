/**
 * Kind `log`: units and containers whose log lines the host sends to the controllers, which push them on (`loki` of monitoring.yml). Nothing is sent that no resource names.
 * It changes nothing on the host.
 */
import { z } from "zod";
import { PRIORITIES } from "../rpc/logs.ts";

/** systemd.unit(5). */
const UNIT_TYPES = /\.(?:service|socket|target|device|mount|automount|swap|timer|path|slice|scope)$/;

/** As systemd has it: `bird` is `bird.service`. */
export const unitName = (unit: string): string => (UNIT_TYPES.test(unit) ? unit : `${unit}.service`);

export const Log = z
  .strictObject({
    units: z
      .array(
        z
          .string()
          .regex(
            /^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,199}$/,
            "must be a unit's name, such as bird or ssh.service",
          ),
      )
      .max(64)
      .default([])
      .describe("systemd units, `.service` left out: what the journal has of them."),
    containers: z
      .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, "must be the name of a container"))
      .max(64)
      .default([])
      .describe("Docker containers, Muster's or not: what they write."),
    priority: z
      .enum(PRIORITIES)
      .default("info")
      .describe("Of units: only lines as urgent as this, and more urgent ones."),
  })
  .refine(({ units, containers }) => units.length + containers.length > 0, {
    message: "names no units and no containers",
  })
  .describe(
    "Units and containers whose log lines the host sends to the controllers, for Loki. Whoever reads Loki reads them.",
  );
export type Log = z.infer<typeof Log>;
