/** RPC `exec`: a program on the host as root, its output as a stream. Whose order it was stands in an event and in the host's journal. */
import { z } from "zod";
import { streamed } from "./streamed.ts";

/** Characters of a chunk; as JSON at most six times as many bytes. */
export const EXEC_CHUNK_LIMIT = 8_192;

export const exec = streamed({
  what: "Run a program on the host as root, its output as it comes.",
  authority: "operator",
  timeout_ms: 10_000,
  request: z.strictObject({
    command: z
      .array(z.string().max(8_192))
      .min(1)
      .max(512)
      .refine((words) => words.every((word) => !word.includes("\0")), "must hold no NUL")
      .describe(
        "The program and its arguments; no shell reads them. They stand in the journal, the program alone in the event.",
      ),
    from: z.string().max(128).describe("Where the person sits, in ctl's words."),
    longest_ms: z
      .int()
      .min(1_000)
      .max(86_400_000)
      .describe("It is ended after this long, whatever becomes of the agent."),
  }),
  chunk: z.object({
    from: z.enum(["stdout", "stderr"]).describe("Where it printed it."),
    text: z.string().max(EXEC_CHUNK_LIMIT).describe("As it came; a character is never cut."),
  }),
  end: z.object({
    code: z
      .int()
      .nullable()
      .describe("How it exited, as a shell would say it; null = it did not exit by itself."),
    ended_by: z.string().nullable().describe("The signal that ended it, or its time limit."),
  }),
});
