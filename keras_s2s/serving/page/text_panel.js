// The panel for a text: its results with their scores, a draft while they are generated, and the
// attention of the result that is chosen.

import { AttentionView } from './attention.js';
import {
  byId, counted, fillSelect, make, say, secondsSince, sentence, writtenScore,
} from './elements.js';
import { pieces, post } from './requests.js';

/** Numbers of results that can be chosen, as far as the server allows them. */
const COUNTS = [1, 2, 3, 4, 5, 8, 10];
const USUAL = 3;

export class TextPanel {
  constructor(choices) {
    this.choices = choices;
    this.view = new AttentionView();
    this.running = null; // an AbortController
    this.reading = null; // that of the attention
    const most = choices.server.most_results;
    const counts = COUNTS.filter((count) => count <= most);
    fillSelect(byId('results'), counts.map((count) => [count, count]));
    byId('results').value = Math.min(USUAL, counts.at(-1));
    byId('text-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.generate();
    });
    byId('text').addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.generate();
      }
    });
    byId('text').addEventListener('input', () => this.count());
    byId('text-stop').addEventListener('click', () => this.running?.abort());
    this.count();
  }

  /** Follows the choice of another model. */
  update() {
    const { obstacles } = this.choices.model;
    const none = 'text' in obstacles;
    say(byId('text-note'), obstacles.text);
    byId('text').disabled = byId('generate').disabled = none;
    byId('results-field').hidden = none || 'several' in obstacles;
    byId('draft-field').hidden = none || 'stream' in obstacles;
    const notes = none ? [] : [obstacles.several, obstacles.stream].filter(Boolean);
    say(byId('several-note'), notes.join(' '));
  }

  /** Shows how long the text is. */
  count() {
    // Characters, as the server counts them, and not the units of a JavaScript string.
    const length = [...byId('text').value].length;
    const most = this.choices.server.most_characters;
    byId('text-count').textContent =
      `${length.toLocaleString('en')} of ${counted(most, 'character')}`;
    byId('text-count').classList.toggle('over', length > most);
  }

  /** Generates results of the text, with a draft in between. */
  async generate() {
    const text = byId('text').value;
    if (this.choices.model === undefined || byId('generate').disabled) return;
    this.running?.abort();
    this.reading?.abort();
    this.reading = null;
    const running = (this.running = new AbortController());
    const request = { ...this.choices.request(), text };
    const { obstacles } = this.choices.model;
    this.clear();
    if (!text.trim()) {
      say(byId('text-error'), 'There is no text yet: type one first.');
      byId('text').focus();
      byId('text-error').scrollIntoView({ block: 'nearest' });
      return;
    }
    const began = performance.now();
    byId('text-status').textContent = 'Generating \u2026';
    byId('text-stop').hidden = false;
    byId('output').setAttribute('aria-busy', 'true');
    const drafted = byId('draft').checked && !('stream' in obstacles);
    const drafting = drafted ? this.draft(request, running) : null;
    try {
      const results = 'several' in obstacles ? {} : { results: Number(byId('results').value) };
      const reply = await post('generate', { ...request, ...results }, running.signal);
      if (running !== this.running) return;
      byId('draft-box').hidden = true;
      this.show(reply.results, request);
      byId('text-status').textContent =
        `${counted(reply.results.length, 'result')} in ${secondsSince(began)}`;
    } catch (error) {
      if (running !== this.running) return;
      const stopped = error.name === 'AbortError';
      byId('text-status').textContent = stopped ? 'Stopped' : '';
      if (!stopped) {
        byId('draft-box').hidden = true;
        say(byId('text-error'), sentence(error.message));
        byId('text-error').scrollIntoView({ block: 'nearest' });
      }
    } finally {
      if (running === this.running) {
        this.running = null;
        byId('text-stop').hidden = true;
        byId('output').removeAttribute('aria-busy');
      }
      // The draft has no use any more.
      running.abort();
      await drafting;
    }
  }

  /** Shows a text while it is generated; ends where its request does. */
  async draft(request, running) {
    const box = byId('draft-text');
    box.lang = request.target || '';
    try {
      for await (const piece of pieces('stream', request, running.signal)) {
        if (running !== this.running) return;
        byId('draft-box').hidden = false;
        box.append(piece);
      }
    } catch (error) {
      if (error.name === 'AbortError' || running !== this.running) return;
      // The results may come all the same; if they do not, their own error is shown.
      byId('draft-box').hidden = false;
      box.replaceChildren(`No draft: ${error.message}`);
    }
  }

  clear() {
    say(byId('text-error'));
    byId('text-status').textContent = '';
    byId('draft-box').hidden = true;
    byId('draft-text').replaceChildren();
    byId('output').replaceChildren();
    byId('score-note').hidden = true;
    byId('attention').hidden = true;
    this.view.clear();
  }

  /** Shows results, of which the first is chosen. */
  show(results, request) {
    const rows = results.map(({ text, score }, i) => {
      const id = `result-${i}`;
      const radio = make('input', { type: 'radio', name: 'result', id, checked: i === 0 });
      radio.addEventListener('change', () => this.attend(results[i], request));
      const written = make('span', { class: 'output', dir: 'auto', lang: request.target }, text);
      if (!text) written.append(make('span', { class: 'empty' }, '(an empty text)'));
      const row = make('div', { class: 'result' }, radio, make('label', { for: id }, written));
      if (score !== undefined) {
        row.append(make('span', { class: 'score', title: 'score' }, writtenScore(score)));
      }
      return row;
    });
    byId('output').classList.toggle('single', rows.length === 1);
    byId('output').replaceChildren(...rows);
    byId('score-note').hidden = !results.some(({ score }) => score !== undefined);
    byId('output').scrollIntoView({ block: 'nearest' });
    this.attend(results[0], request);
  }

  /** Shows the attention of a result. */
  async attend(result, request) {
    this.reading?.abort();
    const reading = (this.reading = new AbortController());
    // The choice may have changed since.
    const model = this.choices.server.models.find(({ name }) => name === request.model);
    if (model.obstacles.attention) {
      this.view.explain(model.obstacles.attention);
      return;
    }
    this.view.wait();
    const output = result.ids ? { output_ids: result.ids } : { output: result.text };
    try {
      const reply = await post('attention', { ...request, ...output }, reading.signal);
      if (reading === this.reading) this.view.show(reply, request);
    } catch (error) {
      if (error.name === 'AbortError' || reading !== this.reading) return;
      this.view.explain(sentence(error.message));
    }
  }
}

