import pg from 'pg';
import type { Instance } from './instance.ts';

/** A table that exists before Waybill hears of it, given to whoever signs in. */
export async function addOrdersTable({ databaseUrl }: Instance): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(`
      create schema shop;
      create table shop.orders (
        no varchar(12) primary key,
        sku text not null,
        quantity int not null check (quantity > 0),
        price numeric(10, 2) check (price >= 0),
        state text not null default 'open' check (state in ('open', 'sent', 'paid')),
        ordered_on date not null,
        paid_on date,
        check (ordered_on <= paid_on));
      select waybill.grant_target('default', 'shop.orders')`);
  } finally {
    await client.end();
  }
}
