package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/crypto/ecies"
)

// eciesEncrypt: key, s1, s2, text.
func eciesEncrypt(a [][]byte) ([]byte, error) {
	key, err := publicKey[*ecdsa.PublicKey](a[0])
	if err != nil {
		return nil, err
	}
	return ecies.Encrypt(rand.Reader, ecies.ImportECDSAPublic(key), a[3], a[1], a[2])
}

// eciesDecrypt: key, s1, s2, message.
func eciesDecrypt(a [][]byte) ([]byte, error) {
	key, err := privateKey[*ecdsa.PrivateKey](a[0])
	if err != nil {
		return nil, err
	}
	return ecies.ImportECDSA(key).Decrypt(a[3], a[1], a[2])
}

// ecdsaSign: key, delimiter, message.
func ecdsaSign(a [][]byte) ([]byte, error) {
	key, err := privateKey[*ecdsa.PrivateKey](a[0])
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(a[2])
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	return []byte(r.String() + string(a[1]) + s.String()), nil
}

// ecdsaVerify: key, delimiter, message, signature.
func ecdsaVerify(a [][]byte) ([]byte, error) {
	key, err := publicKey[*ecdsa.PublicKey](a[0])
	if err != nil {
		return nil, err
	}
	parts := strings.Split(string(a[3]), string(a[1]))
	if len(parts) != 2 {
		return nil, fmt.Errorf("%q is not two numbers", a[3])
	}
	r, good := new(big.Int).SetString(parts[0], 10)
	s, fine := new(big.Int).SetString(parts[1], 10)
	digest := sha256.Sum256(a[2])
	if !good || !fine || !ecdsa.Verify(key, digest[:], r, s) {
		return nil, fmt.Errorf("the signature does not hold")
	}
	return nil, nil
}

const info = "due-crypto 1"

// hpkeSeal: key, bound bytes, text. A message of suite 2.
func hpkeSeal(a [][]byte) ([]byte, error) {
	key, err := publicKey[*ecdsa.PublicKey](a[0])
	if err != nil {
		return nil, err
	}
	message, err := head(2, key)
	if err != nil {
		return nil, err
	}
	point, err := key.ECDH()
	if err != nil {
		return nil, err
	}
	public, err := hpke.NewDHKEMPublicKey(point)
	if err != nil {
		return nil, err
	}
	enc, sender, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return nil, err
	}
	text, err := sender.Seal(append(bytes.Clone(message), a[1]...), a[2])
	if err != nil {
		return nil, err
	}
	return append(append(message, enc...), text...), nil
}

// hpkeOpen: key, bound bytes, message.
func hpkeOpen(a [][]byte) ([]byte, error) {
	key, err := privateKey[*ecdsa.PrivateKey](a[0])
	if err != nil {
		return nil, err
	}
	want, err := head(2, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	message, end := a[2], len(want)+65
	if len(message) < end || !bytes.HasPrefix(message, want) {
		return nil, fmt.Errorf("the head is not %x", want)
	}
	scalar, err := key.ECDH()
	if err != nil {
		return nil, err
	}
	private, err := hpke.NewDHKEMPrivateKey(scalar)
	if err != nil {
		return nil, err
	}
	recipient, err := hpke.NewRecipient(message[len(want):end], private, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return nil, err
	}
	return recipient.Open(append(bytes.Clone(want), a[1]...), message[end:])
}
