// The panel for a document: what came of each sentence, and the result to download.

import { byId, counted, make, say, secondsSince, sentence } from './elements.js';
import { followed } from './requests.js';

/** Format of a file, by the end of its name. */
const FORMATS = { txt: 'text', html: 'html', htm: 'html', xhtml: 'html', srt: 'srt', vtt: 'vtt' };

/** End of a file's name, and its media type, by the format. */
const FILES = {
  text: ['txt', 'text/plain'],
  html: ['html', 'text/html'],
  srt: ['srt', 'application/x-subrip'],
  vtt: ['vtt', 'text/vtt'],
};

const PROPORTION = 'This model does not show which words belong together: inline markup stands as '
  + 'far along in each sentence as it did in the source.';

export class DocumentPanel {
  constructor(choices) {
    this.choices = choices;
    this.running = null; // an AbortController
    this.name = ''; // of the file
    byId('file').addEventListener('change', () => this.read());
    byId('document').addEventListener('input', () => {
      this.name = '';
    });
    byId('document-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.generate();
    });
    byId('document').addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.generate();
      }
    });
    byId('document-stop').addEventListener('click', () => this.running?.abort());
  }

  /** Follows the choice of another model. */
  update() {
    const { documents, text } = this.choices.model.obstacles;
    const why = text || documents || '';
    say(byId('document-note'), why);
    for (const id of ['file', 'format', 'document', 'generate-document']) {
      byId(id).disabled = Boolean(why);
    }
  }

  /** Reads the chosen file into the text field. */
  async read() {
    const [file] = byId('file').files;
    if (!file) return;
    say(byId('document-error'));
    const most = this.choices.server.most_bytes;
    if (file.size > most) {
      say(byId('document-error'),
        `${file.name} has ${counted(file.size, 'byte')}; the server takes at most `
        + `${most.toLocaleString('en')}.`);
      return;
    }
    try {
      const bytes = await file.arrayBuffer();
      const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
      this.document = decoder.decode(bytes);
    } catch {
      say(byId('document-error'), `${file.name} is not a text in UTF-8; save it as one first.`);
      return;
    }
    const end = file.name.split('.').pop().toLowerCase();
    byId('format').value = FORMATS[end] || 'text';
    byId('document').value = this.document;
    this.name = file.name;
  }

  async generate() {
    if (byId('generate-document').disabled) return;
    this.running?.abort();
    const running = (this.running = new AbortController());
    // A text field changes line ends, so that the file itself is sent where nobody changed it.
    const text = this.name ? this.document : byId('document').value;
    const request = { ...this.choices.request(), text, format: byId('format').value };
    const name = this.name;
    this.clear();
    if (!text.trim()) {
      say(byId('document-error'), 'There is no document yet: choose a file, or type a text.');
      byId('document').focus();
      return;
    }
    const began = performance.now();
    byId('document-status').textContent = 'Generating \u2026';
    byId('document-stop').hidden = false;
    try {
      const reply = await followed('document', request, running.signal, (done, of) => {
        if (running === this.running) this.progress(done, of);
      });
      if (running !== this.running) return;
      this.show(reply, request, name);
      byId('document-status').textContent =
        `${counted(reply.sentences.length, 'sentence')} in ${secondsSince(began)}`;
    } catch (error) {
      if (running !== this.running) return;
      const stopped = error.name === 'AbortError';
      byId('document-status').textContent = stopped ? 'Stopped' : '';
      if (!stopped) say(byId('document-error'), sentence(error.message));
    } finally {
      if (running === this.running) {
        this.running = null;
        byId('document-stop').hidden = byId('document-progress').hidden = true;
      }
    }
  }

  /** Shows how many sentences are done. */
  progress(done, of) {
    const bar = byId('document-bar');
    const told = `${done.toLocaleString('en')} of ${counted(of, 'sentence')}`;
    bar.max = Math.max(of, 1);
    bar.value = done;
    bar.setAttribute('aria-valuetext', told);
    byId('document-count').textContent = told;
    byId('document-progress').hidden = false;
    // A screen reader reads the status aloud: at every quarter, and not for every batch.
    const quarter = Math.floor((4 * done) / bar.max);
    if (quarter === this.quarter) return;
    this.quarter = quarter;
    byId('document-status').textContent = done
      ? `Generating \u2026 ${25 * quarter}%` : `Generating ${counted(of, 'sentence')} \u2026`;
  }

  clear() {
    say(byId('document-error'));
    say(byId('markup-note'));
    this.quarter = null;
    byId('document-status').textContent = '';
    byId('sentences').hidden = byId('whole').hidden = byId('download').hidden = true;
    byId('document-progress').hidden = true;
    if (byId('download').href) URL.revokeObjectURL(byId('download').href);
    byId('download').removeAttribute('href');
  }

  show({ text, sentences, markup }, request, name) {
    say(byId('markup-note'), markup === 'proportion' ? PROPORTION : '');
    const languages = [request.source === 'auto' ? '' : request.source, request.target];
    const rows = sentences.map((sentence) => {
      const cells = [sentence.source, sentence.text].map((written, side) =>
        make('td', { role: 'cell' },
          make('span', { dir: 'auto', lang: languages[side] }, written)));
      for (const note of notes(sentence)) cells[1].append(make('span', { class: 'remark' }, note));
      return make('tr', { role: 'row' }, ...cells);
    });
    byId('sentences').querySelector('tbody').replaceChildren(...rows);
    byId('sentences').hidden = sentences.length === 0;
    byId('whole').hidden = false;
    byId('whole-text').textContent = text;
    byId('whole-text').lang = request.target || '';
    const [end, type] = FILES[request.format];
    const download = byId('download');
    download.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
    download.download = resultName(name || `document.${end}`, request.target);
    download.textContent = `Download ${download.download}`;
    download.hidden = false;
  }
}

/** Returns what a reader should know of a sentence. */
function notes(sentence) {
  const found = [];
  if (sentence.was_split) {
    found.push(`Longer than the model can read: generated in ${sentence.parts.length} parts.`);
  }
  if (sentence.unfinished) found.push('Cut off: the model came to its longest output.');
  if (sentence.is_source) found.push('Nothing was generated, so that the source stands here.');
  return found;
}

/** Returns the name of a result: `story.txt` becomes `story.de.txt`. */
function resultName(name, target) {
  const dot = name.lastIndexOf('.');
  const [stem, end] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
  return `${stem}.${target || 'out'}${end}`;
}
