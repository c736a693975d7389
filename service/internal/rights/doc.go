// Package rights reads the rights file and decides what a caller may do.
//
// A call is allowed when one caller of the file has all that it needs: its tenant, the permission of the rpc, each of
// its effects, users when it is made on behalf of one, and a date that has not passed. Everything else is denied: there
// is no rule that takes a right away, and none that is valid for all callers.
//
//	version: 1
//	issuers:
//	  - {issuer: https://issuer.example, audience: backupstorage, principalClaim: azp}
//	tenantSets:
//	  customers: {file: tenants.txt}              # one GUID a line
//	callers:
//	  - principal: oidc:https://issuer.example#00001111-aaaa-2222-bbbb-3333cccc4444
//	    tenants: [set:customers]                  # GUIDs, sets, or "*"
//	    role: operator                            # reader, operator, restorer, admin
//	    onBehalfOfUsers: true
//	    notAfter: 2027-01-01T00:00:00Z
//	  - principal: spiffe://corp.example/portal
//	    tenants: ["11111111-2222-4333-8444-000000000001"]
//	    permissions: [BackupRestore-Configuration.ReadWrite.All]
//	    effects: [READ, ADD]
//
// What a caller has:
//
//	the entry has                 permissions       effects
//	role                          all               those of the role
//	permissions and role          those listed      those of the role
//	permissions                   those listed      all but REMOVE
//	permissions and effects       those listed      those listed
//
// Nothing here reads a file, waits, or keeps state: Parse makes a File of bytes, and a File never changes.
package rights
