import { EXIT, Refusal } from './refusal.ts';

type Command = (argv: string[]) => Promise<number>;

// Each command loads only what it needs: an import's time counts from the start of this process.
const importing = () => import('./import.ts');
const runs = () => import('./runs.ts');
const commands: Record<string, () => Promise<Command>> = {
  import: async () => (await importing()).importCommand,
  plan: async () => (await importing()).planCommand,
  apply: async () => (await runs()).applyCommand,
  discard: async () => (await runs()).discardCommand,
  watch: async () => (await runs()).watchCommand,
  pause: async () => (await runs()).pauseCommand,
  resume: async () => (await runs()).resumeCommand,
  cancel: async () => (await runs()).cancelCommand,
  retry: async () => (await runs()).retryCommand,
  revert: async () => (await import('./revert.ts')).revertCommand,
  imports: async () => (await import('./listing.ts')).importsCommand,
  errors: async () => (await import('./listing.ts')).errorsCommand,
  proof: async () => (await import('./proof.ts')).proofCommand,
  results: async () => (await import('./proof.ts')).resultsCommand,
  inspect: async () => (await import('./inspect.ts')).inspectCommand,
  convert: async () => (await import('./convert.ts')).convertCommand,
  datasets: async () => (await import('./datasets.ts')).datasetsCommand,
  profiles: async () => (await import('./profiles.ts')).profilesCommand,
  webhooks: async () => (await import('./webhooks.ts')).webhooksCommand,
  syncs: async () => (await import('./syncs.ts')).syncsCommand,
};

async function main(argv: string[]): Promise<number> {
  const [name = 'help', ...rest] = argv;
  const wantsHelp = rest.includes('--help') || rest.includes('-h');
  if (name === 'help' || name === '--help' || name === '-h' || wantsHelp) {
    const { help } = await import('./help.ts');
    process.stdout.write(help(wantsHelp ? name : (rest[0] ?? null)));
    return 0;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!load) {
    throw new Refusal('unknown_command', `There is no command "${name}". "waybill help" lists them.`);
  }
  return (await load())(rest);
}

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`waybill: stdout cannot be written (${error.message}).\n`);
  process.exit(EXIT.refused);
});

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`waybill: ${error.message}\n`);
  process.exitCode = error.exit;
}
