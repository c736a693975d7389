package bench

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Units is how many units the page has, the maximum of a page of Graph's.
const Units = 999

// NewPage returns a page of mailbox units as Graph writes it: 529 bytes per unit, and a nextLink.
func NewPage() []byte {
	var b strings.Builder
	b.WriteString(`{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#solutions/backupRestore/protectionUnits","value":[`)
	for i := range Units {
		if i > 0 {
			b.WriteByte(',')
		}
		// The ids are GUIDs, so that they have the length of real ones.
		fmt.Fprintf(&b, `{"@odata.type":"#microsoft.graph.mailboxProtectionUnit","id":"%08x-0d1e-4f3a-9b7c-2a6f5e8d1c04",`+
			`"policyId":"9fec8e78-bce4-4aaf-ab1b-5451cc387264","status":"protected",`+
			`"createdBy":{"application":{"id":"1fec8e78-bce4-4aaf-ab1b-5451cc387264"},"user":{"id":"2fec8e78-bce4-4aaf-ab1b-5451cc387264"}},`+
			`"createdDateTime":"2024-06-19T12:01:03.45Z","lastModifiedDateTime":"2024-06-19T12:11:13.4Z","error":null,`+
			`"directoryObjectId":"%08x-7c5b-4f3a-8d2e-1b0a9c8d7e6f","displayName":"Mailbox number %05d","email":"m%05d@contoso.com"}`,
			i*2654435761&0xffffffff, i*40503&0xffffffff, i, i)
	}
	b.WriteString(`],"@odata.nextLink":"https://graph.microsoft.com/v1.0/solutions/backupRestore/protectionUnits/` +
		`microsoft.graph.mailboxProtectionUnit?$top=999&$skiptoken=M2U5NDVkYjItNmE1Zi00ZTUxLWE3NmUtOWNjMTRiNjI3ZjQ4"}`)
	return []byte(b.String())
}

// NewOddPage returns a page of as many bytes whose units are unlike each other: every other one has its properties in
// another order, each was made by another application, and their times have another form. What a reader guesses of it
// is wrong.
func NewOddPage() []byte {
	var b strings.Builder
	b.WriteString(`{"value":[`)
	for i := range Units {
		if i > 0 {
			b.WriteByte(',')
		}
		properties := []string{
			`"@odata.type":"#microsoft.graph.mailboxProtectionUnit"`, fmt.Sprintf(`"id":"%08x-0d1e-4f3a-9b7c-2a6f5e8d1c04"`, i),
			`"policyId":"9fec8e78-bce4-4aaf-ab1b-5451cc387264"`, `"status":"protected"`,
			fmt.Sprintf(`"createdBy":{"application":{"id":"%08x-bce4-4aaf-ab1b-5451cc387264"},"user":{"id":"2fec8e78-bce4-4aaf-ab1b-5451cc387264"}}`, i),
			`"createdDateTime":"2024-06-19T12:01:03.4+00:00"`, `"lastModifiedDateTime":"2024-06-19T12:11:13+00:00"`, `"error":null`,
			fmt.Sprintf(`"directoryObjectId":"%08x-7c5b-4f3a-8d2e-1b0a9c8d7e6f"`, i), fmt.Sprintf(`"displayName":"Mailbox number %05d"`, i),
			fmt.Sprintf(`"email":"m%05d@contoso.com"`, i),
		}
		if i%2 == 1 {
			slices.Reverse(properties)
		}
		b.WriteString("{" + strings.Join(properties, ",") + "}")
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// NewProtoJSON returns the same page as protojson writes it.
func NewProtoJSON() ([]byte, error) {
	var message pb.ListMailboxProtectionUnitsResponse
	if err := message.UnmarshalGraphJSON(NewPage(), pb.GraphReadOptions{}); err != nil {
		return nil, err
	}
	return protojson.Marshal(&message)
}
