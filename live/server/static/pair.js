// Exchanges the token in the page's address for a cookie, once, and takes it off the address.

export class Unpaired extends Error {
  constructor(message, hint, reason) {
    super(message);
    this.hint = hint;
    this.reason = reason;
  }
}

// Resolves to the list of scopes; throws Unpaired with what to tell people.
export async function pair() {
  const match = /[#&]t=([\w-]+)/.exec(location.hash);
  if (match) history.replaceState(null, "", location.pathname + location.search);
  const response = await fetch("/pair", { method: "POST", body: JSON.stringify(match ? { token: match[1] } : {}) });
  const answer = await response.json();
  if (!response.ok) throw new Unpaired(answer.error, answer.hint, answer.reason || "");
  return answer.scopes;
}
