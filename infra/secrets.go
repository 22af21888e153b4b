//go:build cdk

package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"

	"bldst/shared/config"
)

// firstKey is the id of the key that AWS generates; rotation adds others.
const firstKey, keyLength = "1", 64

// addSigningKeys adds the secret with the keys that sign JWTs. Its value is
// {"current": ID, ID: KEY, ...}, see config.SigningSecret.
func (st *stack) addSigningKeys() {
	st.signing = awssecretsmanager.NewSecret(st.Stack, s("SigningKeys"), &awssecretsmanager.SecretProps{
		Description: s("The keys that sign and verify JWTs; see docs/operations.md for how to rotate them"),
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{
			SecretStringTemplate: s(fmt.Sprintf(`{"%s":"%s"}`, config.CurrentKey, firstKey)),
			GenerateStringKey:    s(firstKey), PasswordLength: n(keyLength), ExcludePunctuation: yes,
		},
		EncryptionKey: st.key,
		RemovalPolicy: st.keep(),
	})
}
