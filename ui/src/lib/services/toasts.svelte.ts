export interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'good' | 'bad';
  href?: string;
}

/** Short notes of what happened elsewhere; never for what the person sees anyway. */
class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  show(text: string, tone: Toast['tone'] = 'plain', href?: string): void {
    const toast = { id: this.#next++, text, tone, ...(href ? { href } : {}) };
    this.list.push(toast);
    setTimeout(() => this.close(toast.id), tone === 'bad' ? 12_000 : 6_000);
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
