package main_test

import (
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

func TestWrite(t *testing.T) {
	tests := []struct {
		name    string
		request writer
		text    string
		want    string
	}{
		{"a creation without fields is an empty object", new(pb.CreateExchangeProtectionPolicyRequest), ``, `{}`},
		{"a creation that has no fields is an empty object", new(pb.CreateServiceAppRequest), ``, `{}`},
		{"a draft session is an empty object", new(pb.CreateExchangeRestoreSessionRequest), ``, `{}`},
		{"a list of objects is written", new(pb.CreateExchangeProtectionPolicyRequest),
			`display_name: "Sales" mailbox_protection_units {directory_object_id: "a"} mailbox_protection_units {directory_object_id: "b"}`,
			`{"displayName":"Sales","mailboxProtectionUnits":[{"directoryObjectId":"a"},{"directoryObjectId":"b"}]}`},
		{"text is escaped", new(pb.CreateExchangeProtectionPolicyRequest), `display_name: "\"Zoë\"\\\n\x7f"`,
			`{"displayName":"\"Zoë\"\\\u000a\u007f"}`},
		{"the id of the path is not in the body", new(pb.UpdateExchangeProtectionPolicyRequest), `protection_policy_id: "p"`, `{}`},
		{"a text that is set and empty is written", new(pb.UpdateExchangeProtectionPolicyRequest), `display_name: ""`, `{"displayName":""}`},
		{"additions to a collection are items of a delta", new(pb.UpdateExchangeProtectionPolicyRequest),
			`add_mailbox_protection_units {directory_object_id: "a"}`, `{"mailboxProtectionUnits@delta":[{"directoryObjectId":"a"}]}`},
		{"removals from a collection are items of a delta", new(pb.UpdateExchangeProtectionPolicyRequest),
			`remove_mailbox_protection_unit_ids: "\"u\""`,
			`{"mailboxProtectionUnits@delta":[{"@removed":{"reason":"changed"},"id":"\"u\""}]}`},
		{"removals follow additions", new(pb.UpdateSharePointProtectionPolicyRequest),
			`display_name: "x" remove_site_protection_unit_ids: ["u", "v"] add_site_protection_units {site_id: "s"} add_site_protection_units {}`,
			`{"displayName":"x","siteProtectionUnits@delta":[{"siteId":"s"},{},{"@removed":{"reason":"changed"},"id":"u"},` +
				`{"@removed":{"reason":"changed"},"id":"v"}]}`},
		{"two collections have a delta each", new(pb.UpdateSharePointRestoreSessionRequest),
			`remove_site_restore_artifact_ids: "a" add_granular_site_restore_artifacts {browse_session_id: "b" id: "c"}`,
			`{"siteRestoreArtifacts@delta":[{"@removed":{"reason":"changed"},"id":"a"}],` +
				`"granularSiteRestoreArtifacts@delta":[{"browseSessionId":"b","id":"c"}]}`},
		{"a choice that is set and empty is an empty array", new(pb.CreateExchangeRestoreSessionRequest),
			`mailbox_restore_artifacts {}`, `{"mailboxRestoreArtifacts":[]}`},
		{"the other side of a choice is written", new(pb.CreateExchangeRestoreSessionRequest),
			`granular_mailbox_restore_artifacts {items {restore_point {id: "p"} destination_type: DESTINATION_TYPE_IN_PLACE search_response_id: "s"}}`,
			`{"granularMailboxRestoreArtifacts":[{"restorePoint":{"id":"p"},"destinationType":"inPlace","searchResponseId":"s"}]}`},
		{"a list that is set and empty is an empty array", new(pb.UpdateEmailNotificationsSettingRequest),
			`recipients {custom_recipients {}}`, `{"recipients":{"customRecipients":[]}}`},
		{"a list that is not set is absent", new(pb.UpdateEmailNotificationsSettingRequest), `recipients {}`, `{"recipients":{}}`},
		{"flags are one string, and false that is set is written", new(pb.UpdateEmailNotificationsSettingRequest),
			`is_enabled: false additional_events: NOTIFICATION_EVENTS_TYPE_RESTORE_AND_POLICY_UPDATES
			recipients {role: NOTIFICATION_RECIPIENTS_TYPE_GLOBAL_ADMINS role: NOTIFICATION_RECIPIENTS_TYPE_CUSTOM custom_recipients {items {email: "a@b.example"}}}`,
			`{"isEnabled":false,"additionalEvents":"restoreAndPolicyUpdates","recipients":{"role":"globalAdmins,custom",` +
				`"customRecipients":[{"email":"a@b.example"}]}}`},
		{"times are RFC 3339 in UTC", new(pb.ActivateServiceAppRequest),
			`service_app_id: "x" effective_date_time {seconds: 1718798463 nanos: 450000000}`, `{"effectiveDateTime":"2024-06-19T12:01:03.45Z"}`},
		{"an action without a value is an empty object", new(pb.ActivateServiceAppRequest), `service_app_id: "x"`, `{}`},
		{"enums and lists of strings are written", new(pb.SearchRestorePointsRequest),
			`protection_unit_ids: ["a", "b"] protection_time_period {start_date_time {} end_date_time {seconds: 1}}
			restore_point_preference: RESTORE_POINT_PREFERENCE_LATEST tags: RESTORE_POINT_TAGS_FAST_RESTORE
			artifact_query {query_expression: "subject -eq 'x'" artifact_type: RESTORABLE_ARTIFACT_MESSAGE}`,
			`{"protectionUnitIds":["a","b"],"protectionTimePeriod":{"startDateTime":"1970-01-01T00:00:00Z","endDateTime":"1970-01-01T00:00:01Z"},` +
				`"restorePointPreference":"latest","tags":"fastRestore","artifactQuery":{"queryExpression":"subject -eq 'x'","artifactType":"message"}}`},
		{"the size of a page and its token are not in the body", new(pb.BrowseOneDriveForBusinessBrowseSessionRequest),
			`browse_session_id: "x" browse_resource_type: BROWSABLE_RESOURCE_TYPE_FOLDER order_by: BROWSE_QUERY_ORDER_NAME_ASC page_size: 5 page_token: "t"`,
			`{"browseResourceType":"folder","orderBy":"nameAsc"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := prototext.Unmarshal([]byte(test.text), test.request); err != nil {
				t.Fatal(err)
			}
			got := test.request.AppendGraphJSON(nil)
			if string(got) != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if !json.Valid(got) {
				t.Errorf("%s is not JSON", got)
			}
		})
	}
}
