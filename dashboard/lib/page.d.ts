// What the tests and the benchmark put into a page beside what is its own.

declare var __notes: { useful: number; tasks: { start: number; end: number }[] };
declare var __times: number[];
declare var __strangers: () => string[];
declare var __said: string;
declare var __later: (ms: number) => void;
declare var __go: (hash: string) => Promise<void>;
declare var __violation: (text: string) => void;
declare var axe: {
  run(
    where: Document,
    options: object,
  ): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
};
