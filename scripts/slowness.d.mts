export const LEAST_PATIENCE: number;
export function patienceNow(): number;
export function slownessNow(): number;
