/** Loaded first: the page may not make code from text (its Content-Security-Policy), so zod must not try. */
import { z } from "zod";

z.config({ jitless: true });
