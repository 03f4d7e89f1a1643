// Who answers: the agent by its name, and the vendors by theirs, stand-ins as such.

const DOES = { stt: "hears", llm: "thinks", tts: "speaks", model: "hears, thinks and speaks" };

/** What is offered before a call: {name, suggestions}. */
export async function offered() {
  const response = await fetch("/page/agent.json");
  return response.ok ? response.json() : { name: "", suggestions: [] };
}

/** An agent's name without its file: "desk.front:agent" → "front". */
export function shortName(name) {
  const [module, object = "agent"] = name.split(":");
  return object === "agent" ? module.replace(/\.py$/, "").split(/[./]/).pop() : object;
}

/** The vendors of a turn, as [{name, does, standIn}]. `vendors` says what people call them. */
export function vendorsOf(providers, vendors) {
  return Object.entries(DOES)
    .filter(([stage]) => providers?.[stage])
    .map(([stage, does]) => {
      const [vendor, ...model] = providers[stage].split("/");
      const known = vendors?.[vendor];
      const words = [known?.label ?? vendor, ...model.map((word) => word[0].toUpperCase() + word.slice(1))];
      return { name: words.join(" "), does, standIn: known?.stand_in ?? false };
    });
}
