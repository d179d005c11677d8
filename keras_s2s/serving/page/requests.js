// Requests to the server that the page came from. Addresses are relative, so that the page works
// below a path of a proxy, too.

/** An error of the server, in its words. */
export class ServerError extends Error {}

const UNREACHABLE = 'The server does not reply. Is it still running?';
const INCOMPLETE = 'The connection ended before the reply was complete.';

async function request(what, options) {
  let reply;
  try {
    reply = await fetch(`page/${what}`, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ServerError(UNREACHABLE);
  }
  if (reply.ok) return reply;
  let message = '';
  try {
    message = (await reply.json()).error;
  } catch {
    // A proxy's error page is no JSON.
  }
  const again = reply.status === 503 ? ' Try again in a moment.' : '';
  throw new ServerError(`${message || `The server replied with status ${reply.status}.`}${again}`);
}

const posted = (body, signal) => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify(body),
  signal,
});

/** Returns what is served. */
export const getModels = async () => (await request('models')).json();

/** Posts a JSON object and returns the one that comes back. */
export async function post(what, body, signal) {
  const reply = await request(what, posted(body, signal));
  try {
    return await reply.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ServerError(INCOMPLETE);
  }
}

/** Posts a JSON object and yields the texts of the event stream that comes back. */
export async function* pieces(what, body, signal) {
  for await (const { type, data } of events(what, body, signal)) {
    if (type === '') yield data.text;
  }
}

/**
 * Posts a JSON object and returns the result that the event stream ends with.
 *
 * @param {function(number, number)} tell is called with how much is done, and of how much.
 */
export async function followed(what, body, signal, tell) {
  for await (const { type, data } of events(what, body, signal)) {
    if (type === 'end') return data;
    tell(data.done, data.of);
  }
  throw new ServerError(INCOMPLETE);
}

/** Posts a JSON object and yields the events that come back, up to the last one. */
async function* events(what, body, signal) {
  const reply = await request(what, posted(body, signal));
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = '';
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new ServerError(INCOMPLETE);
    }
    if (part.done) return;
    const found = (unread + part.value).split('\n\n');
    unread = found.pop();
    for (const event of found.map(readEvent)) {
      if (event.type === 'error') throw new ServerError(event.data.error);
      yield event;
      if (event.type === 'end') return;
    }
  }
}

function readEvent(written) {
  let type = '';
  let data = '';
  for (const line of written.split('\n')) {
    if (line.startsWith('event: ')) type = line.slice(7);
    if (line.startsWith('data: ')) data += line.slice(6);
  }
  return { type, data: JSON.parse(data) };
}
