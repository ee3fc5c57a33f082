import { createHash, randomBytes } from 'node:crypto';
import pg from 'pg';
import type postgres from 'postgres';

export type Role = 'viewer' | 'operator' | 'approver' | 'admin';

/** Who is calling, as the credential says: tenant and role come from here and from nowhere else. */
export interface Caller {
  tenantId: string;
  /** The person, or the token's name. */
  name: string;
  role: Role;
  expiresAt: Date | null;
}

export interface Token {
  id: string;
  name: string;
  role: Role;
  createdAt: Date;
  expiresAt: Date | null;
  lastUsedAt: Date | null;
}

const SIGN_IN_MINUTES = 15;
const SESSION_DAYS = 7;

/** Secrets carry 256 random bits: a plain hash is enough, and is all that is kept. */
const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();
const newSecret = (kind: string): string => `${kind}_${randomBytes(32).toString('base64url')}`;

/** The caller that a bearer token stands for, null where it is unknown, expired or revoked. */
export async function findToken(sql: postgres.Sql, secret: string): Promise<Caller | null> {
  const hash = hashOf(secret);
  const [found] = await sql<Caller[]>`
    with used as (
      update waybill.tokens set last_used_at = now()
      where token_hash = ${hash} and (last_used_at is null or last_used_at < now() - interval '1 minute')
    )
    select tenant_id as "tenantId", name, role, expires_at as "expiresAt" from waybill.tokens
    where token_hash = ${hash} and revoked_at is null and (expires_at is null or expires_at > now())`;
  return found ?? null;
}

/** The person whom a session cookie stands for, null where the session is unknown or over. */
export async function findSession(sql: postgres.Sql, secret: string): Promise<Caller | null> {
  const [found] = await sql<Caller[]>`
    select tenant_id as "tenantId", person as name, role, expires_at as "expiresAt" from waybill.sessions
    where session_hash = ${hashOf(secret)} and ended_at is null and expires_at > now()`;
  return found ?? null;
}

/** Exchanges the secret of a sign-in link for a session, once. Null: unknown, used or expired. */
export async function redeemSignInLink(
  sql: postgres.Sql,
  secret: string,
): Promise<{ caller: Caller; session: string; seconds: number } | null> {
  const session = newSecret('wbs');
  const [caller] = await sql<Caller[]>`
    with link as (
      update waybill.sign_in_links set used_at = now()
      where link_hash = ${hashOf(secret)} and used_at is null and expires_at > now()
      returning tenant_id, person, role
    ), audited as (
      insert into waybill.audit (tenant_id, actor, action) select tenant_id, person, 'sign_in' from link
    )
    insert into waybill.sessions (session_hash, tenant_id, person, role, expires_at)
    select ${hashOf(session)}, tenant_id, person, role, now() + make_interval(days => ${SESSION_DAYS}) from link
    returning tenant_id as "tenantId", person as name, role, expires_at as "expiresAt"`;
  return caller ? { caller, session, seconds: SESSION_DAYS * 86_400 } : null;
}

export async function endSession(sql: postgres.Sql, secret: string): Promise<void> {
  await sql`update waybill.sessions set ended_at = now() where session_hash = ${hashOf(secret)} and ended_at is null`;
}

/** Makes a token; the secret is in the answer and nowhere else. */
export async function createToken(
  sql: postgres.Sql,
  token: { tenantId: string; name: string; role: Role; expiresInDays?: number; actor: string },
): Promise<Token & { token: string }> {
  const secret = newSecret('wb');
  const days = token.expiresInDays ?? null;
  const [made] = await sql<Token[]>`
    with audited as (
      insert into waybill.audit (tenant_id, actor, action, detail)
      values (${token.tenantId}, ${token.actor}, 'create_token', ${sql.json({ name: token.name, role: token.role })})
    )
    insert into waybill.tokens (token_hash, tenant_id, name, role, expires_at)
    values (${hashOf(secret)}, ${token.tenantId}, ${token.name}, ${token.role},
      now() + make_interval(days => ${days}::int))
    returning ${tokenColumns(sql)}`;
  return { ...made!, token: secret };
}

/** The tenant's tokens in force. */
export async function listTokens(sql: postgres.Sql, tenantId: string): Promise<Token[]> {
  return sql<Token[]>`
    select ${tokenColumns(sql)} from waybill.tokens
    where tenant_id = ${tenantId} and revoked_at is null and (expires_at is null or expires_at > now())
    order by created_at desc, token_hash`;
}

/** False where the tenant has no such token in force. */
export async function revokeToken(
  sql: postgres.Sql,
  token: { tenantId: string; id: string; actor: string },
): Promise<boolean> {
  const revoked = await sql`
    with revoked as (
      update waybill.tokens set revoked_at = now()
      where tenant_id = ${token.tenantId} and revoked_at is null
        and left(encode(token_hash, 'hex'), 16) = ${token.id}
      returning name
    )
    insert into waybill.audit (tenant_id, actor, action, detail)
    select ${token.tenantId}, ${token.actor}, 'revoke_token', jsonb_build_object('name', name) from revoked
    returning 1`;
  return revoked.length > 0;
}

const tokenColumns = (sql: postgres.Sql) => sql`
  left(encode(token_hash, 'hex'), 16) as id, name, role, created_at as "createdAt", expires_at as "expiresAt",
  last_used_at as "lastUsedAt"`;

async function asOwner<T>(ownerUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Mints a token under a fixed name and revokes those of that name and tenant that came before. */
export async function mintToken(
  ownerUrl: string,
  token: { tenantId: string; role: Role; name: string },
): Promise<string> {
  const secret = newSecret('wb');
  await asOwner(ownerUrl, (client) =>
    client.query(
      `with revoked as (
         update waybill.tokens set revoked_at = now() where tenant_id = $2 and name = $3 and revoked_at is null
       )
       insert into waybill.tokens (token_hash, tenant_id, name, role) values ($1, $2, $3, $4)`,
      [hashOf(secret), token.tenantId, token.name, token.role],
    ),
  );
  return secret;
}

/** The secret of a sign-in link: works once, for 15 minutes. It belongs in the link's fragment, which no log sees. */
export async function mintSignInLink(
  ownerUrl: string,
  link: { tenantId: string; person: string; role: Role },
): Promise<string> {
  const secret = newSecret('wbl');
  await asOwner(ownerUrl, (client) =>
    client.query(
      `insert into waybill.sign_in_links (link_hash, tenant_id, person, role, expires_at)
       values ($1, $2, $3, $4, now() + make_interval(mins => $5))`,
      [hashOf(secret), link.tenantId, link.person, link.role, SIGN_IN_MINUTES],
    ),
  );
  return secret;
}
